/** The cost of callers for each other: one that sends bad values, and very many that each came once. */

import { mlpModel } from '../tools/models.mjs'
import { SESSION } from './lib/direct.ts'
import { rotatingFloats } from './lib/inputs.ts'
import { callTimes, closedLoop } from './lib/loops.ts'
import { measurePairs } from './lib/pairs.ts'
import { createProvedServer } from './lib/proved.ts'
import { type Bench, pairedRow, perSecond, type Row, type Target } from './lib/row.ts'
import { PROMISES } from './promises.ts'

const MS = 300
/** More than usual: there is one run of the bad caller in eight, which a short look misses. */
const PAIRS = 15
const GOOD_CALLERS = 64
const GROUPS = 8
const TENANTS = 100_000

async function badCallerRow(what: string, layers: readonly number[], target: Target): Promise<Row> {
  const [width = 0] = layers
  const values = rotatingFloats(width)
  const inputs = (i: number, group: number) => ({
    features: { type: 'float32' as const, dims: [1, width], data: values(i) },
    group: [group],
  })
  const warmup = Array.from({ length: GROUPS }, (_, i) => inputs(i, i))
  const source = mlpModel({ layers: [...layers], groups: GROUPS })
  // Otherwise two tenants would not meet at all.
  const batching = { mixTenants: true }
  const server = await createProvedServer({
    models: [{ name: 'm', source, session: SESSION, warmup, batching }],
    strict: true,
    logger: false,
  })
  const good = (i: number) => server.predict('m', inputs(i, i % GROUPS))
  let refused = 0
  async function beside(): Promise<number> {
    let isOver = false
    const bad = (async () => {
      while (!isOver) {
        await server.predict('m', inputs(0, GROUPS), { tenant: 'bad' }).catch(() => refused++)
      }
    })()
    const rate = await closedLoop(GOOD_CALLERS, MS, good)
    isOver = true
    await bad
    return rate
  }
  const pairs = await measurePairs({ ours: beside, rival: () => closedLoop(GOOD_CALLERS, MS, good), pairs: PAIRS })
  const { batching: found } = server.model('m')
  await server.close()
  return pairedRow({
    bench: 'callers',
    what: `predict(), ${what}, good answers of ${GOOD_CALLERS} callers beside one with bad values only`,
    rival: 'without it',
    pairs,
    format: perSecond,
    target,
    how: `closed loop of ${MS} ms`,
    note: `${found.reason}; the bad caller was refused ${refused} times`,
  })
}

async function tenantsRow(): Promise<Row> {
  const source = mlpModel()
  const values = rotatingFloats(32)
  let came = 0
  /** Serves requests of that many tenants, each new one, and goes on with tenants of the kind. */
  async function serverAfter(tenants: number, tenantOf: () => string) {
    const server = await createProvedServer({ models: [{ name: 'm', source, session: SESSION }], strict: true, logger: false })
    const ask = (i: number) =>
      server.predict('m', { features: { type: 'float32', dims: [1, 32], data: values(i) } }, { tenant: tenantOf() })
    await callTimes(16, tenants, ask)
    return { server, ask }
  }
  const many = await serverAfter(TENANTS, () => `tenant ${came++}`)
  const few = await serverAfter(10, () => `tenant ${came++ % 10}`)
  const pairs = await measurePairs({
    ours: () => closedLoop(4, MS, many.ask),
    rival: () => closedLoop(4, MS, few.ask),
  })
  await Promise.all([many.server.close(), few.server.close()])
  return pairedRow({
    bench: 'callers',
    what: `predict(), 32-16-2 MLP, 4 callers under new names, after ${TENANTS} tenants`,
    rival: 'after 10',
    pairs,
    format: perSecond,
    target: PROMISES.manyTenants,
    how: `closed loop of ${MS} ms`,
  })
}

export const callers: Bench = {
  name: 'callers',
  limitS: 120,
  run: async () => [
    await badCallerRow('32-16-2 MLP', [32, 16, 2], PROMISES.badCallerTiny),
    await badCallerRow('5 MB MLP', [256, 1024, 1024, 10], PROMISES.badCaller5MB),
    await tenantsRow(),
  ],
}
