/**
 * Loads a model, while another process kills its children, and prints the outcome. Nothing but that load keeps it running. argv: dist
 * folder, model file, options of the load as JSON
 */
import { pathToFileURL } from 'node:url'

const [dist, model, options] = process.argv.slice(2)
const { createModelServer } = await import(pathToFileURL(`${dist}/index.js`).href)

const server = await createModelServer({ models: [], logger: false })
server.subscribe(({ type, reason }) => {
  if (type === 'untried') console.log(`untried: ${reason}`)
})
console.log('loading')
try {
  await server.load({ name: 'm', source: model, ...JSON.parse(options) })
  console.log('ready')
  process.exitCode = 3
} catch (error) {
  console.log(`${error.code}: ${error.message}`)
  process.exitCode = 4
}
