import { createModelServer } from 'modelmount'

/** One server a process: modules are loaded again at each edit in development, and `globalThis` stays. */
export function modelServer(isolation) {
  globalThis.modelServers ??= new Map()
  if (!globalThis.modelServers.has(isolation)) {
    const options = { models: [{ name: 'penguins', source: './score.onnx' }], isolation, strict: true }
    globalThis.modelServers.set(isolation, createModelServer(options))
  }
  return globalThis.modelServers.get(isolation)
}
