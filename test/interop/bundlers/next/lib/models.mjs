import { createModelServer } from 'modelmount'

/** One server a process and tier: modules are loaded again at each edit in development, and `globalThis` stays. */
export function modelServer(isolation) {
  globalThis.modelServers ??= {}
  globalThis.modelServers[isolation] ??= createModelServer({
    models: [{ name: 'penguins', source: './score.onnx' }],
    isolation,
    strict: true,
  }).catch((error) => {
    globalThis.modelServers[isolation] = undefined // the next request tries again
    throw error
  })
  return globalThis.modelServers[isolation]
}
