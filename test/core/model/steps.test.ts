/** A load is a list of named steps; each phase of a version holds only what there is in it. */

import { describe, expect, expectTypeOf, test } from 'vitest'
import { LOAD } from '../../../src/core/model/load/load.ts'
import { inOrder } from '../../../src/core/model/load/steps.ts'
import type { Loading, Phase } from '../../../src/core/model/phases.ts'
import { createResources } from '../../../src/core/model/resources.ts'

type In<Name extends Phase['name']> = Extract<Phase, { readonly name: Name }>

describe('steps', () => {
  const number = (text: string, log: string[]): number => {
    log.push('number')
    return Number(text)
  }
  async function doubled(value: number, log: string[]): Promise<number> {
    log.push('doubled')
    return 2 * value
  }

  test('run in order, each with what the one before has returned', async () => {
    const steps = inOrder(number).next(doubled).next(doubled)
    const log: string[] = []
    expect(await steps.run('21', log)).toBe(84)
    expect(log).toEqual(['number', 'doubled', 'doubled'])
    expect(steps.names).toEqual(log)
  })

  test('the first that fails is the last', async () => {
    const refuse = (): number => {
      throw new RangeError('refused')
    }
    const log: string[] = []
    await expect(inOrder(number).next(refuse).next(doubled).run('1', log)).rejects.toThrow('refused')
    expect(log).toEqual(['number'])
  })

  test('of a load', () => {
    expect(LOAD.names).toEqual(['admit', 'read', 'place', 'prepare', 'start', 'enter'])
  })
})

describe('phases', () => {
  test('a version that serves cannot be asked for its load, nor one that loads for what serves', () => {
    expectTypeOf<In<'serving'>>().not.toHaveProperty('loading')
    expectTypeOf<In<'draining'>>().not.toHaveProperty('loading')
    expectTypeOf<In<'reading'>>().not.toHaveProperty('serving')
    expectTypeOf<In<'starting'>>().not.toHaveProperty('serving')
    expectTypeOf<In<'reading'>['loading']>().toEqualTypeOf<Loading>()
    // @ts-expect-error: there is no load any more
    const loadOf = (phase: In<'serving'>): Loading => phase.loading
    expect(loadOf).toBeTypeOf('function')
  })

  test('what serves is all there', () => {
    type Serving = In<'serving'>['serving']
    expectTypeOf<undefined>().not.toExtend<Serving['pool']>()
    expectTypeOf<undefined>().not.toExtend<Serving['scheduler']>()
    expectTypeOf<undefined>().not.toExtend<Serving['weights']>()
    expectTypeOf<undefined>().not.toExtend<Serving['grant']>()
    expectTypeOf<undefined>().not.toExtend<Serving['provision']>()
    expectTypeOf<undefined>().not.toExtend<Serving['run']>()
  })
})

describe('resources', () => {
  function slow(log: string[], name: string) {
    let open = (): void => {}
    const opened = new Promise<void>((resolve) => {
      open = resolve
    })
    const close = (): Promise<void> => {
      log.push(name)
      return opened
    }
    return { open, close }
  }

  test('are given back in reverse, each after the one before', async () => {
    const log: string[] = []
    const resources = createResources()
    const [first, second] = [slow(log, 'first'), slow(log, 'second')]
    resources.add(first)
    resources.add(second)
    const closed = resources.close()
    expect(log).toEqual(['second'])
    second.open()
    first.open()
    await closed
    expect(log).toEqual(['second', 'first'])
  })

  test('of a load that failed do not wait for each other', async () => {
    const log: string[] = []
    const resources = createResources()
    const [first, second] = [slow(log, 'first'), slow(log, 'second')]
    resources.add(first)
    resources.add(second)
    const closed = resources.closeAtOnce()
    expect(log).toEqual(['second', 'first'])
    first.open()
    second.open()
    await closed
  })
})
