import { expect, test } from 'vitest'
import { type CpuDemand, cpusForModels, createCpuBudget } from '../../../src/core/engine/cpu.ts'

const demand = (name: string, settings: Partial<CpuDemand> = {}): CpuDemand => ({
  name,
  min: 1,
  max: 1,
  threads: undefined,
  ...settings,
})

test('one CPU stays with the event loop where there are more than two', () => {
  expect([1, 2, 3, 8].map(cpusForModels)).toEqual([1, 2, 2, 7])
})

test('a model alone gets all, divided by its largest number of instances', () => {
  expect(createCpuBudget(7).grant(demand('a')).threads).toBe(7)
  expect(createCpuBudget(7).grant(demand('a', { max: 3 })).threads).toBe(2)
  expect(createCpuBudget(2).grant(demand('a', { min: 8, max: 8 })).threads).toBe(1)
})

test('models that load together share fairly, whichever comes first', () => {
  const cpu = createCpuBudget(8)
  const demands = [demand('a'), demand('b', { max: 2, min: 2 }), demand('c', { threads: 2 })]
  cpu.expect(demands)
  const threads = [...demands].reverse().map((each) => {
    const grant = cpu.grant(each)
    grant.use(each.min)
    return grant.threads
  })
  // 8 less the 2 that c was given, for three instances.
  expect(threads).toEqual([2, 2, 2])
})

test('one that comes later gets what is left, one thread at least', () => {
  const cpu = createCpuBudget(4)
  cpu.grant(demand('a', { threads: 3 })).use(1)
  const b = cpu.grant(demand('b'))
  b.use(1)
  expect(b.threads).toBe(1)
  expect(cpu.grant(demand('c'))).toMatchObject({ threads: 1, excess: undefined })
})

test('a new version of a model gets what the old one has', () => {
  const cpu = createCpuBudget(4)
  const old = cpu.grant(demand('a'))
  old.use(1)
  const next = cpu.grant(demand('a'))
  expect([old.threads, next.threads]).toEqual([4, 4])
  expect(next.use(1)).toBe(1)
})

test('more instances only within the budget, over all models, and given back', () => {
  const cpu = createCpuBudget(4)
  const a = cpu.grant(demand('a', { max: 4 }))
  const b = cpu.grant(demand('b', { max: 4, threads: 1 }))
  a.use(1)
  b.use(1)
  expect(a.use(4)).toBe(3)
  expect(b.use(2)).toBe(1)
  expect(a.use(2)).toBe(2)
  expect(b.use(4)).toBe(2)
  a.release()
  expect(b.use(4)).toBe(4)
})

test('the least number is never refused; what a user asks for by number is told when it is too much', () => {
  const cpu = createCpuBudget(2)
  expect(cpu.grant(demand('a', { min: 4, max: 4 })).excess).toBe(
    '4 instances with 1 thread each: more than the 2 CPUs for models',
  )
  const b = cpu.grant(demand('b', { threads: 8 }))
  expect(b.excess).toBe(
    '1 instance with 8 threads each beside 4 threads that other models were given: more than the 2 CPUs for models',
  )
  expect(b.threads).toBe(8)
  expect(b.use(1)).toBe(1)
  // Nothing was asked for by number.
  expect(cpu.grant(demand('c')).excess).toBeUndefined()
  const fitting = createCpuBudget(2)
  fitting.grant(demand('a')).use(1)
  expect(fitting.grant(demand('b', { min: 2, max: 2 })).excess).toBeUndefined()
})

test('a model that is no longer expected gets what is left, not its share of then', () => {
  const cpu = createCpuBudget(8)
  cpu.expect([demand('a'), demand('b')])
  cpu.expect([demand('c')])
  cpu.grant(demand('c')).use(1)
  expect(cpu.grant(demand('a')).threads).toBe(1)
})
