/**
 * A process that starts and answers once, as one writes it. argv: `ours` or `bare`, the model's file, the inputs as JSON. Prints the
 * milliseconds from its first line to the answer, and the state of batching by then.
 */

const start = performance.now()
const [, , side, file, json] = process.argv
const { name, dims } = JSON.parse(json)
const data = new Float32Array(dims.reduce((product, dim) => product * dim, 1)).fill(0.5)

async function ours() {
  const { createModelServer } = await import('modelmount')
  const session = { intraOpNumThreads: 1 }
  const server = await createModelServer({ models: { m: file }, session, strict: true, logger: false })
  const { outputs } = await server.predict('m', { [name]: { type: 'float32', dims, data } })
  const ms = performance.now() - start
  const { state } = server.model('m').batching
  return { ms, state, outputs: Object.values(outputs).length, end: () => server.close() }
}

const WORKER = `
const { parentPort } = require('node:worker_threads')
const ort = require('onnxruntime-node')
let session
parentPort.on('message', async ({ file, name, dims, data, options }) => {
  session ??= await ort.InferenceSession.create(file, options)
  const outputs = data ? await session.run({ [name]: new ort.Tensor('float32', data, dims) }) : {}
  parentPort.postMessage(Object.values(outputs).map((tensor) => tensor.data))
})`

async function bare() {
  const { Worker } = await import('node:worker_threads')
  const worker = new Worker(WORKER, { eval: true })
  const ask = (message) =>
    new Promise((resolve, reject) => {
      worker.once('message', resolve)
      worker.once('error', reject)
      worker.postMessage(message)
    })
  await ask({ file, options: { intraOpNumThreads: 1, interOpNumThreads: 1, logSeverityLevel: 4 } })
  const outputs = await ask({ name, dims, data })
  const ms = performance.now() - start
  return { ms, outputs: outputs.length, end: () => worker.terminate() }
}

const { end, ...answer } = await { ours, bare }[side]()
console.log(JSON.stringify(answer))
await end()
