/** Detects anything newer than IR version 13 in a file: a field, an element type or a kind of attribute. */

import { LAST_ELEMENT_TYPE } from '../element-types.ts'
import { BYTES, type Reader, type Reading, VARINT } from '../wire.ts'

/** Numbers of a message's fields; `leaves` hold no messages, `below` name the messages that they hold. */
interface Message {
  readonly leaves: readonly number[]
  readonly below: Readonly<Record<number, MessageName>>
  /** A field that holds an enumeration, and its highest number. */
  readonly highest?: readonly [field: number, value: number]
}

type MessageName = keyof typeof MESSAGES

const entry = { leaves: [1, 2], below: {} } as const

/** onnx.proto of IR version 13. */
const MESSAGES = {
  model: {
    leaves: [1, 2, 3, 4, 5, 6],
    below: { 7: 'graph', 8: 'opset', 14: 'entry', 20: 'training', 25: 'function', 26: 'device' },
  },
  graph: {
    leaves: [2, 10],
    below: { 1: 'node', 5: 'tensor', 11: 'value', 12: 'value', 13: 'value', 14: 'annotation', 15: 'sparse', 16: 'entry' },
  },
  node: { leaves: [1, 2, 3, 4, 6, 7, 8], below: { 5: 'attribute', 9: 'entry', 10: 'placement' } },
  attribute: {
    leaves: [1, 2, 3, 4, 7, 8, 9, 13, 20, 21],
    below: { 5: 'tensor', 6: 'graph', 10: 'tensor', 11: 'graph', 14: 'type', 15: 'type', 22: 'sparse', 23: 'sparse' },
    highest: [20, 14],
  },
  tensor: {
    leaves: [1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14],
    below: { 3: 'entry', 13: 'entry', 16: 'entry' },
    highest: [2, LAST_ELEMENT_TYPE],
  },
  sparse: { leaves: [3], below: { 1: 'tensor', 2: 'tensor' } },
  value: { leaves: [1, 3], below: { 2: 'type', 4: 'entry' } },
  type: { leaves: [6], below: { 1: 'tensorType', 4: 'wrapper', 5: 'map', 8: 'tensorType', 9: 'wrapper' } },
  tensorType: { leaves: [1], below: { 2: 'shape' }, highest: [1, LAST_ELEMENT_TYPE] },
  wrapper: { leaves: [], below: { 1: 'type' } },
  map: { leaves: [1], below: { 2: 'type' }, highest: [1, LAST_ELEMENT_TYPE] },
  shape: { leaves: [], below: { 1: 'dimension' } },
  dimension: { leaves: [1, 2, 3], below: {} },
  function: {
    leaves: [1, 4, 5, 6, 8, 10, 13],
    below: { 7: 'node', 9: 'opset', 11: 'attribute', 12: 'value', 14: 'entry' },
  },
  opset: entry,
  entry,
  annotation: { leaves: [1], below: { 2: 'entry' } },
  training: { leaves: [], below: { 1: 'graph', 2: 'graph', 3: 'entry', 4: 'entry' } },
  // Settings for several devices, which ONNX Runtime ignores.
  device: { leaves: [1, 2, 3], below: {} },
  placement: { leaves: [1, 2, 3], below: {} },
} as const satisfies Record<
  string,
  { leaves: readonly number[]; below: Readonly<Record<number, string>>; highest?: readonly [number, number] }
>

/** Reads a ModelProto. @returns the first such part, worded for a sentence */
export const readNewer = (reader: Reader): Reading<string | undefined> => readMessage(reader, 'model')

function* readMessage(reader: Reader, name: MessageName): Reading<string | undefined> {
  const { leaves, below, highest }: Message = MESSAGES[name]
  let found: string | undefined
  while (yield* reader.next()) {
    if (found !== undefined) continue
    const field = reader.field()
    const inner = below[field]
    if (inner !== undefined && reader.is(field, BYTES)) {
      reader.enter()
      found = yield* readMessage(reader, inner)
    } else if (inner === undefined && !leaves.includes(field)) found = `field ${field} of a ${name}`
    else if (highest?.[0] === field && reader.is(field, VARINT)) {
      const value = Number(reader.int())
      if (value > highest[1]) found = `${name === 'attribute' ? 'attribute' : 'element'} type ${value}`
    }
  }
  return found
}
