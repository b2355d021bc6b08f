/** An encoder of sentences of different lengths, asked for one of its three outputs. */

import { encoderModel } from '../tools/models.mjs'
import { PATH } from './apps/rivals.ts'
import { besideNaive } from './lib/beside-naive.ts'
import { postRequest } from './lib/http-connection.ts'
import type { Bench } from './lib/row.ts'
import { PROMISES } from './promises.ts'

const VOCABULARY = 1000
const WIDTH = 128
/** As of what is typed into a search box: evenly from 3 to 12 tokens. */
const lengthOf = (index: number): number => 3 + (Math.imul(index, 37) % 10)

function sentence(index: number): Buffer {
  const shape = [1, lengthOf(index)]
  const ids = Array.from({ length: lengthOf(index) }, () => Math.floor(Math.random() * VOCABULARY))
  return postRequest(PATH, {
    inputs: [
      { name: 'ids', datatype: 'INT64', shape, data: ids },
      { name: 'mask', datatype: 'INT64', shape, data: ids.map(() => 1) },
    ],
    outputs: [{ name: 'pooled' }],
  })
}

export const encoder: Bench = {
  name: 'encoder',
  limitS: 60,
  async run() {
    return [
      await besideNaive({
        bench: 'encoder',
        what: `JSON, encoder of width ${WIDTH}, 3 to 12 tokens`,
        ask: { model: encoderModel({ vocabulary: VOCABULARY, width: WIDTH }), batching: { ragged: { mask: 'mask' } } },
        requests: Array.from({ length: 64 }, (_, index) => sentence(index)),
        connections: 64,
        ms: 700,
        pairs: 7,
        target: PROMISES.encoder,
      }),
    ]
  },
}
