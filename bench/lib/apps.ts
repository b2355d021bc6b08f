/** The same app several times, each in a process of its own, with proof that those with a model give the same answer. */

import type { AppAnswer, AppAsk, Framework, Kind } from '../apps/ask.ts'
import { PATH } from '../apps/rivals.ts'
import { startChild } from './child.ts'
import { postRequest, sendOnce } from './http-connection.ts'
import { rotatingFloats } from './inputs.ts'
import { assertSame } from './same.ts'

export interface Apps<K extends Kind> {
  readonly port: Readonly<Record<K, number>>
  readonly label: Readonly<Record<K, string>>
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
export async function startApps<K extends Kind>(
  framework: Framework,
  kinds: readonly K[],
  model: Uint8Array,
  input: { readonly name: string; readonly length: number },
): Promise<Apps<K>> {
  const floats = rotatingFloats(input.length)
  const requests = Array.from({ length: 64 }, (_, i) =>
    postRequest(PATH, {
      inputs: [{ name: input.name, datatype: 'FP32', shape: [1, input.length], data: Array.from(floats(i)) }],
    }),
  )
  const children = kinds.map(() => startChild<AppAsk, AppAnswer>('children/app.ts'))
  const port = {} as Record<K, number>
  const label = {} as Record<K, string>
  let expected: readonly number[] | undefined
  // One after the other: piscina looks for its best configuration and must not be disturbed.
  for (const [i, kind] of kinds.entries()) {
    const answer = await children[i]?.ask({ framework, kind, model, length: input.length })
    port[kind] = answer?.port ?? 0
    label[kind] = answer?.label ?? ''
    const data = await answerOf(port[kind], requests[0] as Buffer)
    if (kind === 'echo') continue
    assertSame(data, expected ?? data)
    expected = data
  }
  return {
    port,
    label,
    requests,
    async stop() {
      await Promise.all(children.map((child) => child.stop()))
    },
  }
}
