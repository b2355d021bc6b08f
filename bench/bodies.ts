/** How long one request body can keep the event loop of the host: every hostile form, at default limits, and honest lists of numbers. */

import { createModelServer } from 'modelmount'
import {
  binaryBodies,
  type Datatype,
  type HostileBody,
  hostileBodies,
  MODELS,
  MOUNT,
  nameOf,
} from '../test/support/hostile-bodies.ts'
import { SESSION } from './lib/direct.ts'
import { type Bench, milliseconds, type Row, rowOfRatios } from './lib/row.ts'
import { longestStall } from './lib/stall.ts'
import { median } from './lib/stats.ts'
import { PROMISES } from './promises.ts'

/** Just below the default limits of JSON and of a body. */
const LARGE_BYTES = 15_000_000
const BINARY_BYTES = 66_000_000
/** One in so many of all places and values, other values at each place. */
const SHARE = 15
const TRIES = 3
const MORE_MS = 20
const LIST_MS = 10

type Ask = (body: HostileBody) => Promise<unknown>

/**
 * The longest stall while a body is answered, and of the idle process for as long. A busy machine disturbs both, so results over half of
 * the limit are tried again; medians count.
 */
async function stallsOf(ask: Ask, body: HostileBody): Promise<{ readonly ours: number; readonly idle: number }> {
  const [ours, idle]: [number[], number[]] = [[], []]
  for (let i = 0; i < TRIES && (i === 0 || median(ours) - median(idle) > LIST_MS / 2); i++) {
    const start = performance.now()
    ours.push(await longestStall(() => ask(body)))
    const took = performance.now() - start
    idle.push(await longestStall(() => new Promise((resolve) => setTimeout(resolve, took))))
  }
  return { ours: median(ours), idle: median(idle) }
}

async function hostile(ask: Ask, bodies: Iterable<HostileBody>, kind: string): Promise<Row> {
  const found: { readonly what: string; readonly ours: number; readonly idle: number }[] = []
  for (const body of bodies) {
    const { ours, idle } = await stallsOf(ask, body)
    console.error(`  ${milliseconds(ours)} (idle ${milliseconds(idle)})  ${body.what}`)
    found.push({ what: body.what, ours, idle })
  }
  found.sort((a, b) => b.ours - b.idle - (a.ours - a.idle))
  const [worst] = found
  if (!worst) throw new Error('no body was asked')
  return rowOfRatios({
    bench: 'bodies',
    what: `longest stall of the host by any of ${found.length} ${kind}, against ${MORE_MS} ms more than idle`,
    ours: `${milliseconds(worst.ours)} by ${worst.what}`,
    rival: `idle: ${milliseconds(worst.idle)}`,
    ratios: [(worst.ours - worst.idle) / MORE_MS],
    target: PROMISES.bodyStall,
    how: `the same event loop turning beside it, the median of ${TRIES} where the first is over half of it`,
  })
}

async function numbers(ask: Ask): Promise<Row> {
  const data = Array.from({ length: 1_500_000 }, () => Math.fround(Math.random()).toFixed(7)).join(',')
  const text = `{"inputs":[{"name":"x","shape":[375000,4],"datatype":"FP32","data":[${data}]}],"parameters":{"binary_data_output":true}}`
  const body: HostileBody = { what: 'numbers', path: `/v2/models/${nameOf('FP32')}/infer`, body: Buffer.from(text), headers: {} }
  // The first one pays for compiling.
  await ask(body)
  const { ours, idle } = await stallsOf(ask, body)
  return rowOfRatios({
    bench: 'bodies',
    what: `longest stall of the host for ${(text.length / 1e6).toFixed(0)} MB of JSON numbers, against ${LIST_MS} ms more than idle`,
    ours: milliseconds(ours),
    rival: `idle: ${milliseconds(idle)}`,
    ratios: [(ours - idle) / LIST_MS],
    target: PROMISES.jsonStall,
    how: 'the same event loop turning beside it',
  })
}

export const bodies: Bench = {
  name: 'bodies',
  limitS: 240,
  async run() {
    const models = (Object.keys(MODELS) as Datatype[]).map((datatype) => ({
      name: nameOf(datatype),
      source: MODELS[datatype],
      session: SESSION,
    }))
    const server = await createModelServer({ models, strict: true, batching: false, logger: false })
    const mount = server.http.mount(MOUNT)
    const ask: Ask = ({ path, body, headers }) => mount.handle({ method: 'POST', path, body, headers, acceptsChunks: true })
    try {
      return [
        await numbers(ask),
        await hostile(ask, hostileBodies(LARGE_BYTES, SHARE), 'hostile bodies'),
        await hostile(ask, binaryBodies(BINARY_BYTES), `binary bodies of ${BINARY_BYTES / 1e6} MB`),
      ]
    } finally {
      await server.close()
    }
  },
}
