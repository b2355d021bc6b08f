/**
 * The effect of one slow instance among ten on the slowest requests, on a simulated clock: the product's balancer, made-up service times.
 */

import { REPLICAS, simulateFleet } from '../test/support/simulated-fleet.ts'
import { type Bench, milliseconds, type Row, rowOfRatios } from './lib/row.ts'
import { median, quantile } from './lib/stats.ts'
import { PROMISES } from './promises.ts'

const SEEDS = [1, 2, 3, 4, 5]
const TIMES_SLOWER = 5

type Scenario = Parameters<typeof simulateFleet>[0]

const p99 = (scenario: Scenario): number =>
  quantile(
    simulateFleet(scenario).map(({ ms }) => ms),
    0.99,
  )
const slowdown = (replica: number): number => (replica === 0 ? TIMES_SLOWER : 1)

function rowOf(binding: 'late' | 'early', sent: string): Row {
  const healthy = SEEDS.map((seed) => p99({ binding, seed }))
  const slow = SEEDS.map((seed) => p99({ binding, seed, slowdown }))
  return rowOfRatios({
    bench: 'slow-instance',
    what: `p99, one of ${REPLICAS} ${sent} ${TIMES_SLOWER} times slower`,
    ours: milliseconds(median(slow)),
    rival: `all healthy: ${milliseconds(median(healthy))}`,
    ratios: slow.map((ms, i) => ms / (healthy[i] ?? Number.NaN)),
    target: PROMISES.slowInstance,
    how: `simulated clock, load 0.7, ${SEEDS.length} seeds`,
    note: `requests sent round robin at arrival: ${milliseconds(p99({ binding: 'early', strategy: 'round-robin', slowdown }))}`,
  })
}

export const slowInstance: Bench = {
  name: 'slow-instance',
  limitS: 60,
  async run() {
    return [rowOf('late', 'instances with one line'), rowOf('early', 'replicas chosen at arrival')]
  },
}
