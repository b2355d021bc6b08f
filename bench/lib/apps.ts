/** Apps with the same model route, each in a process of its own, with proof that those with a model give the same answer. */

import type { AppAnswer, AppAsk, Framework, Kind } from '../apps/ask.ts'
import { pathOf } from '../apps/rivals.ts'
import { startChild } from './child.ts'
import { postRequest, sendOnce } from './http-connection.ts'
import { rotatingFloats } from './inputs.ts'
import { assertSame } from './same.ts'

export interface Apps<K extends string> {
  readonly port: Readonly<Record<K, number>>
  readonly label: Readonly<Record<K, string>>
  stop(): Promise<void>
}

export interface AppsWithRequests<K extends string> extends Apps<K> {
  /** Different requests for the model route. */
  readonly requests: readonly Buffer[]
}

interface InferAnswer {
  readonly outputs: readonly [{ readonly data: readonly number[] }]
}

async function answerOf(port: number, request: Buffer): Promise<readonly number[]> {
  const { status, body } = await sendOnce(port, request)
  if (status !== 200) throw new Error(`status ${status}: ${body.toString('utf8', 0, 1000)}`)
  return (JSON.parse(body.toString()) as InferAnswer).outputs[0].data
}

/** As many JSON requests as make caches useless, to each of the models in turn. */
export function jsonRequests(
  input: { readonly name: string; readonly length: number },
  names: readonly string[] = ['m'],
): Buffer[] {
  const floats = rotatingFloats(input.length)
  return Array.from({ length: 64 }, (_, i) =>
    postRequest(pathOf(names[i % names.length] as string), {
      inputs: [{ name: input.name, datatype: 'FP32', shape: [1, input.length], data: Array.from(floats(i)) }],
    }),
  )
}

/** @param check asks an app once; apps with a model must resolve with the same value */
export async function startAll<K extends string>(
  asks: Readonly<Record<K, AppAsk>>,
  check: (port: number) => Promise<ArrayLike<number>>,
): Promise<Apps<K>> {
  const children: { stop(): Promise<void> }[] = []
  const port = {} as Record<K, number>
  const label = {} as Record<K, string>
  let expected: ArrayLike<number> | undefined
  // One after the other: piscina looks for its best configuration and must not be disturbed.
  for (const key of Object.keys(asks) as K[]) {
    const child = startChild<AppAsk, AppAnswer>('children/app.ts')
    children.push(child)
    const answer = await child.ask(asks[key])
    port[key] = answer.port
    label[key] = answer.label
    const data = await check(port[key])
    if (asks[key].kind === 'echo') continue
    assertSame(data, expected ?? data)
    expected = data
  }
  return {
    port,
    label,
    async stop() {
      await Promise.all(children.map((child) => child.stop()))
    },
  }
}

/** {@link startAll} of apps that are asked in JSON. */
export async function startJsonApps<K extends string>(
  asks: Readonly<Record<K, AppAsk>>,
  requests: readonly Buffer[],
): Promise<AppsWithRequests<K>> {
  return { ...(await startAll(asks, (port) => answerOf(port, requests[0] as Buffer))), requests }
}

/**
 * The same app several times.
 * @param input name and length of the model's one input, float32 [batch, length]
 */
export function startApps<K extends Kind>(
  framework: Framework,
  kinds: readonly K[],
  model: Uint8Array,
  input: { readonly name: string; readonly length: number },
): Promise<AppsWithRequests<K>> {
  const asks = {} as Record<K, AppAsk>
  for (const kind of kinds) asks[kind] = { framework, kind, model, length: input.length }
  return startJsonApps(asks, jsonRequests(input))
}
