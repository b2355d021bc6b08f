/** Which version answers a name, and what is said where none does. */

import { describe, expect, test } from 'vitest'
import type { ModelState } from '../../../src/core/model/types.ts'
import { createRegistry } from '../../../src/core/registry/registry.ts'

const entry = (version: string, state: ModelState = 'ready', name = 'm') => ({ name, version, state })

function registryOf(...entries: ReturnType<typeof entry>[]) {
  const registry = createRegistry<ReturnType<typeof entry>>()
  for (const one of entries) registry.set(one)
  return registry
}

function refusal(call: () => unknown): unknown {
  try {
    return call()
  } catch (error) {
    return error
  }
}

describe('a request', () => {
  test('gets the highest ready version, or the one that it names', () => {
    const registry = registryOf(entry('10'), entry('9'), entry('11', 'loading'))
    expect(registry.resolve('m')).toBe(registry.get('m', '10'))
    expect(registry.resolve('m', '9')).toBe(registry.get('m', '9'))
    expect(registry.defaultOf('m')?.version).toBe('10')
    expect(registry.defaultOf('other')).toBeUndefined()
    expect(registry.select('m', '11')).toEqual([entry('11', 'loading')])
    expect(registry.select('m').map(({ version }) => version)).toEqual(['9', '10', '11'])
    expect(registry.get('m', '12')).toBeUndefined()
  })

  test.each([
    ['loading', 1],
    ['failed', 5],
    ['draining', 5],
  ] as const)('of a version that is %s is told when to come again: %d s', (state, retryAfterS) => {
    const registry = registryOf(entry('1', 'failed'), entry('2', state))
    for (const version of [undefined, '2'])
      expect(refusal(() => registry.resolve('m', version))).toMatchObject({
        code: 'MODEL_NOT_READY',
        message: `model 'm' version '2' is ${state}`,
        details: { model: 'm', version: '2', state },
        retryAfterS,
      })
  })

  test('for what is not there is told which of the two is not', () => {
    const registry = registryOf(entry('1'))
    expect(refusal(() => registry.select('n'))).toMatchObject({ code: 'MODEL_NOT_FOUND', details: { model: 'n' } })
    expect(refusal(() => registry.resolve('m', '2'))).toMatchObject({
      code: 'VERSION_NOT_FOUND',
      details: { model: 'm', version: '2' },
    })
  })

  test('has its name repeated, and no more of it than a name may have', () => {
    const registry = registryOf(entry('1'))
    const long = 'n'.repeat(1000)
    expect(refusal(() => registry.select(long))).toMatchObject({ details: { model: 'n'.repeat(130) } })
    expect(refusal(() => registry.select(7 as unknown as string))).toMatchObject({ details: { model: '<number>' } })
    expect(refusal(() => registry.select('m', long))).toMatchObject({ details: { model: 'm', version: 'n'.repeat(130) } })
  })
})

describe('entries', () => {
  test('take the place of their own version alone, and leave it only while they hold it', () => {
    const [first, second, other] = [entry('1'), entry('1'), entry('1', 'ready', 'a')]
    const registry = registryOf(first, entry('2'), second, other)
    expect(registry.versions('m')).toHaveLength(2)
    expect(registry.get('m', '1')).toBe(second)
    registry.remove(first)
    expect(registry.get('m', '1')).toBe(second)
    registry.remove(second)
    expect(registry.versions('m')).toEqual([entry('2')])
    expect(registry.all()).toEqual([other, entry('2')])
    registry.remove(other)
    expect(registry.versions('a')).toEqual([])
    expect(refusal(() => registry.select('a'))).toMatchObject({ code: 'MODEL_NOT_FOUND' })
  })

  test('are listed by name, whatever came first', () => {
    const registry = registryOf(entry('1', 'ready', 'b'), entry('1', 'ready', 'c'), entry('1', 'ready', 'a'))
    expect(registry.all().map(({ name }) => name)).toEqual(['a', 'b', 'c'])
  })
})

describe('labels', () => {
  test('point at a version, move, and go', () => {
    const registry = registryOf(entry('1'), entry('2', 'loading'))
    expect([...registry.labels('m')]).toEqual([])
    registry.setLabel('m', 'stable', '1')
    registry.setLabel('m', 'next', '2')
    expect([registry.labelled('m', 'stable'), registry.labelled('m', 'next')]).toEqual(['1', '2'])
    expect(Object.fromEntries(registry.labels('m'))).toEqual({ stable: '1', next: '2' })
    registry.setLabel('m', 'stable', undefined)
    expect(refusal(() => registry.labelled('m', 'stable'))).toMatchObject({
      code: 'LABEL_NOT_FOUND',
      message: expect.stringContaining("'next'"),
      details: { model: 'm', got: 'stable' },
    })
  })

  test('of a version that is gone, or of no model, say so', () => {
    const registry = registryOf(entry('1'), entry('2'))
    registry.setLabel('m', 'next', '2')
    registry.remove(registry.resolve('m', '2'))
    expect(refusal(() => registry.labelled('m', 'next'))).toMatchObject({
      code: 'VERSION_NOT_FOUND',
      details: { model: 'm', label: 'next', version: '2' },
    })
    expect(refusal(() => registry.labelled('n', 'next'))).toMatchObject({ code: 'MODEL_NOT_FOUND' })
    expect(refusal(() => registryOf(entry('1')).labelled('m', 'l'.repeat(1000)))).toMatchObject({
      code: 'LABEL_NOT_FOUND',
      message: expect.stringContaining('it has none'),
      details: { got: 'l'.repeat(130) },
    })
  })

  test('end with the last version of their name', () => {
    const registry = registryOf(entry('1'))
    registry.setLabel('m', 'stable', '1')
    registry.remove(registry.resolve('m'))
    registry.set(entry('1'))
    expect(registry.labels('m').size).toBe(0)
  })
})
