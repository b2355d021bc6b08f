/** Our route on Fastify beside the one that one writes first, both for a model of any inputs and asked in JSON. */

import type { AppAnswer } from '../apps/ask.ts'
import type { TensorsAsk } from '../apps/tensors.ts'
import type { LoadAnswer, LoadAsk } from '../children/load.ts'
import { startChild } from './child.ts'
import { sendOnce } from './http-connection.ts'
import { measurePairs } from './pairs.ts'
import { pairedRow, perSecond, type Row, type Target } from './row.ts'
import { assertSame } from './same.ts'

interface Case {
  readonly bench: string
  readonly what: string
  readonly ask: Omit<TensorsAsk, 'kind'>
  /** Sent in rotation. */
  readonly requests: readonly Buffer[]
  readonly connections: number
  /** Of one turn. */
  readonly ms: number
  readonly pairs: number
  readonly target: Target
}

export async function besideNaive({ bench, what, ask, requests, connections, ms, pairs, target }: Case): Promise<Row> {
  const apps = { ours: startApp(), naive: startApp() }
  const load = startChild<LoadAsk, LoadAnswer>('children/load.ts')
  const ours = await apps.ours.ask({ kind: 'ours', ...ask })
  const naive = await apps.naive.ask({ kind: 'naive', ...ask })
  for (const request of requests.slice(0, 8)) assertSame(await dataOf(ours.port, request), await dataOf(naive.port, request))
  const rate = async (port: number): Promise<number> => {
    const answer = await load.ask({ port, connections, ms, requests })
    if (answer.failures > 0) throw new Error(`${answer.failures} requests failed`)
    return answer.rate
  }
  const row = pairedRow({
    bench,
    what: `fastify, ${what}, ${connections} connections`,
    rival: naive.label,
    pairs: await measurePairs({ ours: () => rate(ours.port), rival: () => rate(naive.port), pairs }),
    format: perSecond,
    target,
    how: `keep-alive, closed loop of ${ms} ms`,
  })
  await Promise.all([load.stop(), apps.ours.stop(), apps.naive.stop()])
  return row
}

const startApp = () => startChild<TensorsAsk, AppAnswer>('children/tensors.ts')

async function dataOf(port: number, request: Buffer): Promise<readonly number[]> {
  const { status, body } = await sendOnce(port, request)
  if (status !== 200) throw new Error(`status ${status}: ${body.toString('utf8', 0, 1000)}`)
  return (JSON.parse(body.toString()) as { outputs: readonly [{ data: readonly number[] }] }).outputs[0].data
}
