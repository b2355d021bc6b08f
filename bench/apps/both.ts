/** Both apps in processes of their own, with proof that they give the same answer. */

import { startChild } from '../lib/child.ts'
import { postRequest, sendOnce } from '../lib/http-connection.ts'
import { rotatingFloats } from '../lib/inputs.ts'
import { assertSame } from '../lib/same.ts'
import type { AppAnswer, AppAsk } from './ask.ts'

export interface Apps {
  readonly ours: number
  readonly naive: number
  /** Different requests for the model route. */
  readonly requests: readonly Buffer[]
  stop(): Promise<void>
}

interface InferAnswer {
  readonly outputs: readonly [{ readonly data: readonly number[] }]
}

async function answerOf(port: number, request: Buffer): Promise<readonly number[]> {
  const { status, body } = await sendOnce(port, request)
  if (status !== 200) throw new Error(`status ${status}: ${body}`)
  return (JSON.parse(body) as InferAnswer).outputs[0].data
}

/** @param input name and length of the model's one input, float32 [batch, length] */
export async function startApps(model: Uint8Array, input: { readonly name: string; readonly length: number }): Promise<Apps> {
  const ours = startChild<AppAsk, AppAnswer>('apps/ours.ts')
  const naive = startChild<AppAsk, AppAnswer>('apps/naive.ts')
  const [{ port: oursPort }, { port: naivePort }] = await Promise.all([ours.ask({ model }), naive.ask({ model })])
  const floats = rotatingFloats(input.length)
  const requests = Array.from({ length: 64 }, (_, i) =>
    postRequest('/v2/models/m/infer', {
      inputs: [{ name: input.name, datatype: 'FP32', shape: [1, input.length], data: Array.from(floats(i)) }],
    }),
  )
  const [first] = requests as [Buffer]
  assertSame(await answerOf(oursPort, first), await answerOf(naivePort, first))
  return {
    ours: oursPort,
    naive: naivePort,
    requests,
    async stop() {
      await Promise.all([ours.stop(), naive.stop()])
    },
  }
}
