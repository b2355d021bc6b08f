/**
 * Asks with two deadlines that are hours away, and closes before or after the answers.
 * argv: dist folder, tier, hours of both deadlines in order, when to close (waiting | answered | never)
 */
import { pathToFileURL } from 'node:url'

const [dist, isolation, first, second, when] = process.argv.slice(2)
const { createModelServer } = await import(pathToFileURL(`${dist}/index.js`).href)
const { addModel } = await import('../../tools/models.mjs')

const HOUR_MS = 3_600_000
const server = await createModelServer({ models: [{ name: 'm', source: addModel() }], isolation, logger: false, strict: true })
const { inputs } = server.model('m')
const shaped = Object.fromEntries(
  inputs.map(({ name, dims }) => {
    const shape = dims.map((dim) => (typeof dim === 'number' ? dim : 1))
    return [name, { type: 'float32', dims: shape, data: new Float32Array(shape.reduce((n, dim) => n * dim, 1)) }]
  }),
)
const answers = [first, second].map((hours) => server.predict('m', shaped, { timeoutMs: Number(hours) * HOUR_MS }))
if (when === 'waiting') await server.close({ timeoutMs: 8 * HOUR_MS })
await Promise.all(answers)
if (when === 'answered') await server.close({ timeoutMs: 8 * HOUR_MS })
console.log('answered')
