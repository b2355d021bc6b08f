/** A server of its own process: prints how it holds the weights of its model, and an answer. */
import { createModelServer } from 'modelmount'

const [, , source, cacheDirectory] = process.argv
const server = await createModelServer({
  models: [{ name: 'm', source, instances: 2, shareWeights: true }],
  cacheDirectory,
  proof: 'before-ready',
  proofCache: false,
  logger: false,
  strict: true,
})
// Work beside requests keeps no process alive.
const awake = setInterval(() => {}, 1000)
const decided = () => server.model('m').weights.reason !== 'being prepared'
while (!decided()) await new Promise((resolve) => server.subscribe((event) => event.type === 'weights' && resolve()))
const { outputs } = await server.predict('m', { x: new Float32Array(512).fill(0.5) })
console.log(JSON.stringify({ ...server.model('m').weights, first: outputs.y.data[0] }))
clearInterval(awake)
await server.close()
