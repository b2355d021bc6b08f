/** One prediction after the other in both tiers, in process and over HTTP; says what worked, a line each. Run by `runtimes.mjs`, in any runtime. */

import { once } from 'node:events'
import { createServer } from 'node:http'
import { createModelServer } from '../../dist/index.js'
import { nodeHandler } from '../../dist/node.js'
import { mlpModel } from '../../tools/models.mjs'

const row = (seed) => Array.from({ length: 32 }, (_, i) => Math.sin(seed * 32 + i))
const say = (tier, what, value) => console.log(JSON.stringify({ tier, what, value }))

for (const isolation of ['thread', 'process']) {
  try {
    const server = await createModelServer({
      logger: false,
      strict: true,
      models: [{ name: 'mlp', source: mlpModel(), isolation }],
      proof: 'before-ready',
    })
    const { outputs } = await server.predict('mlp', { features: [row(1)] })
    say(
      isolation,
      'prediction',
      Object.values(outputs).map(({ data }) => [...data].map((x) => x.toFixed(4))),
    )
    const many = await Promise.all(Array.from({ length: 64 }, (_, i) => server.predict('mlp', { features: [row(i)] })))
    say(isolation, 'requests in shared runs', many.filter(({ batchSize }) => batchSize > 1).length > 0)
    const http = createServer(nodeHandler(server, { prefix: '/ml' }))
    http.listen(0, '127.0.0.1')
    await once(http, 'listening')
    const inputs = [{ name: 'features', shape: [1, 32], datatype: 'FP32', data: row(1) }]
    const answer = await fetch(`http://127.0.0.1:${http.address().port}/ml/v2/models/mlp/infer`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ inputs }),
    })
    say(isolation, 'over HTTP', [answer.status, (await answer.json()).model_name])
    http.closeAllConnections()
    http.close()
    await server.close()
    say(isolation, 'closed', true)
  } catch (error) {
    say(isolation, 'failed', `${error.code ?? ''} ${error.message}`)
  }
}
