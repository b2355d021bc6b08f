import type { Extension, Servable } from 'modelmount/extension'

export function doubling(): Extension {
  const servable: Servable = {
    name: 'doubling',
    version: '1',
    kind: 'remote',
    state: 'ready',
    available: true,
    signature: {
      inputs: [{ name: 'x', type: 'float32', declaredType: 'float32', dims: ['rows'] }],
      outputs: [{ name: 'y', type: 'float32', declaredType: 'float32', dims: ['rows'] }],
    },
    info: () => ({ doc: 'Doubles each value.' }),
    async run({ inputs, at }) {
      const { dims, data } = inputs.x as { dims: readonly number[]; data: Float32Array }
      const y = { type: 'float32', dims, data: data.map((value) => value * 2) } as const
      return { outputs: { y }, queueMs: 0, inferMs: 0, batchSize: 1, endedAt: at }
    },
    drain: async () => {},
  }
  return { apiVersion: 1, name: 'doubling', servables: [servable] }
}
