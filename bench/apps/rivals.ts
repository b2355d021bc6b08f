/** The model route as one writes it without modelmount, whatever the framework: no validation beyond what parsing does. */

import { openSession, runRows } from '../lib/direct.ts'
import { rotatingFloats } from '../lib/inputs.ts'
import { type RowResult, startPiscina } from '../lib/piscina.ts'
import type { AppAsk, Kind } from './ask.ts'

export const PATH = '/v2/models/m/infer'
/** Connections that wait for their turn must not be closed under the client. */
export const KEEP_ALIVE_MS = 120_000

export interface InferBody {
  readonly inputs: readonly [{ readonly data: readonly number[] }]
}

type RunRow = (floats: Float32Array) => Promise<RowResult>
type Start = (ask: AppAsk) => Promise<{ readonly label: string; readonly run: RunRow }>

const CALLERS = 64

const STARTS: Readonly<Record<Exclude<Kind, 'ours'>, Start>> = {
  async naive({ model }) {
    const session = await openSession(model)
    return {
      label: 'session.run() in the route',
      run: async (floats) => (await runRows(session, floats)) as unknown as RowResult,
    }
  },
  piscina: ({ model, length }) => startPiscina(model, rotatingFloats(length), CALLERS),
  echo: async () => ({
    label: 'limit: the same JSON, no model',
    run: async (floats) => ({ data: floats.subarray(0, 2), dims: [1, 2] }),
  }),
}

/** Resolves with what turns a parsed body into the body of the answer. */
export async function startRival(ask: AppAsk & { readonly kind: Exclude<Kind, 'ours'> }) {
  const { label, run } = await STARTS[ask.kind](ask)
  return {
    label,
    async infer({ inputs }: InferBody) {
      const { data, dims } = await run(Float32Array.from(inputs[0].data))
      return {
        model_name: 'm',
        model_version: '1',
        outputs: [{ name: 'scores', datatype: 'FP32', shape: dims, data: Array.from(data) }],
      }
    },
  }
}
