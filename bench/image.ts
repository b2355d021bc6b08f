/** An image as JSON: 150,528 numbers, more than a megabyte of text. */

import { convModel } from '../tools/models.mjs'
import { PATH } from './apps/rivals.ts'
import { besideNaive } from './lib/beside-naive.ts'
import { postRequest } from './lib/http-connection.ts'
import { product, rotatingFloats } from './lib/inputs.ts'
import type { Bench } from './lib/row.ts'
import { PROMISES } from './promises.ts'

const SIZE = 224
const SHAPE = [1, 3, SIZE, SIZE]
const BODIES = 4
/** As a client writes a pixel: with the digits that a float32 has. */
const written = (value: number): number => Number(value.toPrecision(7))

export const image: Bench = {
  name: 'image',
  limitS: 60,
  async run() {
    const floats = rotatingFloats(product(SHAPE))
    return [
      await besideNaive({
        bench: 'image',
        what: `JSON, CNN of 8-16-32 channels, ${SIZE}x${SIZE}`,
        ask: { model: convModel({ size: SIZE, channels: 8 }) },
        requests: Array.from({ length: BODIES }, (_, index) =>
          postRequest(PATH, {
            inputs: [{ name: 'image', datatype: 'FP32', shape: SHAPE, data: Array.from(floats(index), written) }],
          }),
        ),
        connections: 8,
        ms: 1000,
        pairs: 7,
        target: PROMISES.image,
      }),
    ]
  },
}
