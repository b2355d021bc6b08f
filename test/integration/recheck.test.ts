/** A model that lets rows influence each other for values that no proof tries is found out while it serves. */

import type { ServerEvent } from 'modelmount'
import { describe, expect, test } from 'vitest'
import { FIXED_COST } from '../../tools/models.mjs'
import { attr, node, tensor, value, writeModel } from '../../tools/onnx-writer.mjs'
import { provedServerFor } from '../support/server.ts'

/** y = x, and more by as much as the first row is above 1e9: each row picks it by an index that is computed, and always 0. */
const hidden = writeModel({
  graph: {
    inputs: [value('x', 'float', ['N', 4])],
    outputs: [value('y', 'float', ['N', 4])],
    nodes: [
      ...FIXED_COST.nodes,
      node('Mul', ['x', 'nothing'], ['none']),
      node('ReduceMax', ['none'], ['where'], { axes: attr.ints([1]), keepdims: attr.int(1) }),
      node('Cast', ['where'], ['index'], { to: attr.int(7) }),
      node('GatherND', ['x', 'index'], ['first']),
      node('Sub', ['first', 'limit'], ['over']),
      node('Relu', ['over'], ['excess']),
      node('Add', ['x', 'excess'], ['more']),
      node('Add', ['more', 'zero'], ['y']),
    ],
    initializers: [...FIXED_COST.initializers, tensor('nothing', 'float', [], [0]), tensor('limit', 'float', [], [1e9])],
  },
})

const WAVE = 1000
const MOST_WAVES = 400

describe('rows that change beside others', () => {
  test.each([
    ['end the sharing of runs, with an event and the reason', {}, true],
    ['are the business of who answers for them', { independentRows: true }, false],
  ] as const)(
    '%s',
    async (_, batching, ends) => {
      const server = await provedServerFor({
        models: [{ name: 'm', source: hidden, isolation: 'thread', batching, maxQueue: 4 * WAVE }],
      })
      expect(server.model('m').batching.enabled).toBe(true)
      const events: ServerEvent[] = []
      server.subscribe((event) => void (event.type === 'batching' && events.push(event)))
      // Loud neighbours for every row, and a loud first row of most runs.
      const wave = () =>
        Promise.all(
          Array.from({ length: WAVE }, (_, i) => server.predict('m', { x: new Float32Array(4).fill(i % 3 === 0 ? 1 : 4e9) })),
        )
      for (let i = 0; i < (ends ? MOST_WAVES : 40) && events.length === 0; i++) await wave()
      if (!ends) {
        expect(events).toEqual([])
        expect(server.model('m').batching.enabled).toBe(true)
        return
      }
      const reason = expect.stringContaining("while serving, output 'y' of a row was seen to change")
      const about = { type: 'batching', model: 'm', version: '1' }
      expect(events).toEqual([{ ...about, state: 'refuted', enabled: false, reason, source: 'serving' }])
      expect(server.model('m').batching).toMatchObject({ state: 'refuted', enabled: false, reason, maxSize: 1 })
      const [quiet, loud] = await Promise.all([1, 4e9].map((x) => server.predict('m', { x: new Float32Array(4).fill(x) })))
      expect(quiet?.outputs.y?.data[0]).toBe(1)
      expect([quiet?.batchSize, loud?.batchSize]).toEqual([1, 1])
    },
    120_000,
  )
})
