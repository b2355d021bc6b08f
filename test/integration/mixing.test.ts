/** Models whose rows influence each other are served one by one; honest ones with the same operators keep sharing runs. */

import { describe, expect, test } from 'vitest'
import { modelOf, PAIRS } from '../support/mixing-models.ts'
import { serverFor } from '../support/server.ts'

const batchingOf = async (source: Uint8Array) => {
  const server = await serverFor({ models: [{ name: 'm', source, isolation: 'thread' }] })
  return server.model('m').batching
}

describe('rows influence each other by', () => {
  test.each(PAIRS)('$way: refused', async ({ mixing }) => {
    const { enabled, reason } = await batchingOf(modelOf(mixing))
    expect(reason).toMatch(
      /works across the rows|goes from row to row|decides by the|changes when other rows run beside it|as many rows/,
    )
    expect(enabled).toBe(false)
  })

  test.each(PAIRS)('$way; an honest model with these operators shares runs', async ({ honest }) => {
    expect(await batchingOf(modelOf(honest))).toMatchObject({ enabled: true, reason: expect.stringContaining('times the rows') })
  })
})
