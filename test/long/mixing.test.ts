/** Models whose rows influence each other are served one by one; honest ones with the same operators keep sharing runs. */

import { describe, expect, test } from 'vitest'
import { attr, node } from '../../tools/onnx-writer.mjs'
import { modelOf, PAIRS } from '../support/mixing-models.ts'
import { provedServerFor } from '../support/server.ts'

const batchingOf = async (source: Uint8Array) => {
  const server = await provedServerFor({ models: [{ name: 'm', source, isolation: 'thread' }] })
  return server.model('m').batching
}

describe('rows influence each other by', () => {
  test.each(PAIRS)('$way: refused', async ({ mixing }) => {
    const { enabled, reason } = await batchingOf(modelOf(mixing))
    expect(reason).toMatch(
      /works across the rows|goes from row to row|decides by the|changes when (\d+ )?other rows run beside it|as many rows/,
    )
    expect(enabled).toBe(false)
  })

  // The cost of runs is measured, which a busy machine may spoil once.
  test.each(PAIRS)('$way; an honest model with these operators shares runs', { retry: 3 }, async ({ honest }) => {
    expect(await batchingOf(modelOf(honest))).toMatchObject({ enabled: true, reason: expect.stringContaining('times the rows') })
  })
})

/** y = 100 x, and a little more of everything where rows share a run. */
const roundedBy = (difference: number): Uint8Array =>
  modelOf({
    nodes: [
      node('Shape', ['x'], ['shape']),
      node('Gather', ['shape', 'first'], ['rows']),
      node('Sub', ['rows', 'second'], ['others']),
      node('Min', ['others', 'second'], ['any']),
      node('Cast', ['any'], ['any_float'], { to: attr.int(1) }),
      node('Constant', [], ['difference'], { value_float: attr.float(difference) }),
      node('Mul', ['any_float', 'difference'], ['more']),
      node('Mul', ['x', 'zero'], ['nothing']),
      node('Add', ['nothing', 'hundreds'], ['level']),
      node('Add', ['level', 'more'], ['h']),
    ],
  })

describe('answers around a hundred', () => {
  test('may differ by rounding, also where they are near zero', async () => {
    expect(await batchingOf(roundedBy(9e-4))).toMatchObject({ enabled: true })
  })

  test('may not differ by more', async () => {
    expect(await batchingOf(roundedBy(2e-3))).toMatchObject({
      enabled: false,
      reason: expect.stringContaining("output 'y' of a row changes"),
    })
  })
})
