/** The model route as one writes it without modelmount, whatever the framework: no validation beyond what parsing does. */

import { openSession, runRows } from '../lib/direct.ts'
import { rotatingFloats } from '../lib/inputs.ts'
import { type RowResult, startPiscina } from '../lib/piscina.ts'
import type { AppAsk, Kind } from './ask.ts'

export const pathOf = (name: string): string => `/v2/models/${name}/infer`
export const PATH = pathOf('m')
/** Connections that wait for their turn must not be closed under the client. */
export const KEEP_ALIVE_MS = 120_000

export interface InferBody {
  readonly inputs: readonly [{ readonly data: readonly number[] }]
}

type RunRow = (floats: Float32Array) => Promise<RowResult>
type Start = (ask: AppAsk) => Promise<{ readonly label: string; readonly run: RunRow }>

const CALLERS = 64

const STARTS: Readonly<Record<Exclude<Kind, 'ours' | 'echo' | 'bytes'>, Start>> = {
  async naive({ model }) {
    const session = await openSession(model)
    return {
      label: 'session.run() in the route',
      run: async (floats) => (await runRows(session, floats)) as unknown as RowResult,
    }
  },
  piscina: ({ model, length }) => startPiscina(model, rotatingFloats(length), CALLERS),
}

export const ECHO_LABEL = 'the same JSON, no model'

/** Turns a parsed body into one of the size of a model's answer. Not a promise: the rival shall pay for nothing but JSON. */
export const echo = ({ inputs: [{ data }] }: InferBody) => answerOf(data.slice(0, 2), [1, 2])

/** Resolves with what turns a parsed body into the body of the answer. */
export async function startRival(ask: AppAsk & { readonly kind: Exclude<Kind, 'ours' | 'bytes'> }) {
  const { kind } = ask
  if (kind === 'echo') return { label: ECHO_LABEL, infer: echo }
  const { label, run } = await STARTS[kind](ask)
  return {
    label,
    async infer({ inputs }: InferBody) {
      const { data, dims } = await run(Float32Array.from(inputs[0].data))
      return answerOf(Array.from(data), dims)
    },
  }
}

const answerOf = (data: readonly number[], shape: readonly number[]) => ({
  model_name: 'm',
  model_version: '1',
  outputs: [{ name: 'scores', datatype: 'FP32', shape, data }],
})
