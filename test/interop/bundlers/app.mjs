/** The bundled app: a server that answers in one tier, over HTTP and by predict(). argv: tier, model file. */

import { createServer } from 'node:http'
import express from 'express'
import { createModelServer } from 'modelmount'
import { modelRouter } from 'modelmount/express'

const ROW = [46.1, 13.2, 211, 4500]

async function main([, , isolation, source]) {
  const server = await createModelServer({ models: [{ name: 'penguins', source }], isolation, strict: true })
  const { outputs } = await server.predict('penguins', { features: [ROW] })
  const app = express()
  app.use('/ml', modelRouter(server))
  const http = createServer(app).listen(0, '127.0.0.1')
  await new Promise((resolve) => http.once('listening', resolve))
  const url = `http://127.0.0.1:${http.address().port}/ml/v2/models/penguins/infer`
  // Large enough for the thread that reads bodies.
  const rows = Array.from({ length: 5000 }, () => ROW)
  const body = JSON.stringify({
    inputs: [{ name: 'features', shape: [rows.length, 4], datatype: 'FP32', data: rows.flat() }],
  })
  const answer = await (await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body })).json()
  console.log(
    JSON.stringify({
      isolation,
      direct: outputs.probabilities.data[2],
      http: answer.outputs?.[0].data.at(-1),
      error: answer.error,
    }),
  )
  http.close()
  http.closeAllConnections()
  await server.close()
}

main(process.argv).catch((error) => {
  console.log(JSON.stringify({ code: error.code, message: error.message, cause: String(error.cause) }))
  process.exitCode = 1
})
