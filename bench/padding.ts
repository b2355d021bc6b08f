/** The gain when sentences of different lengths share a padded run, against running them one by one. */

import type { Tensor } from 'modelmount'
import { encoderModel } from '../tools/models.mjs'
import { SESSION } from './lib/direct.ts'
import { closedLoop } from './lib/loops.ts'
import { measurePairs } from './lib/pairs.ts'
import { createProvedServer } from './lib/proved.ts'
import { type Bench, pairedRow, perSecond } from './lib/row.ts'
import { assertSame } from './lib/same.ts'

const MS = 300
const CALLERS = 64
const VOCABULARY = 32
/** As of what is typed into a search box: evenly from 3 to 12 tokens. */
const lengthOf = (index: number): number => 3 + (Math.imul(index, 37) % 10)

const SENTENCES: readonly Tensor[] = Array.from({ length: 256 }, (_, index) => ({
  type: 'int64',
  dims: [1, lengthOf(index)],
  data: BigInt64Array.from({ length: lengthOf(index) }, () => BigInt(Math.floor(Math.random() * VOCABULARY))),
}))

export const padding: Bench = {
  name: 'padding',
  limitS: 40,
  async run() {
    const source = encoderModel({ vocabulary: VOCABULARY, width: 384 })
    const server = await createProvedServer({
      models: [
        { name: 'filled', source, session: SESSION, batching: { ragged: { mask: 'mask' } } },
        { name: 'alone', source, session: SESSION, batching: false },
      ],
      strict: true,
    })
    const masks = SENTENCES.map(({ dims }) => ones(dims))
    const callTo = (name: string) => async (i: number) => {
      const [ids, mask] = [SENTENCES[i % SENTENCES.length] as Tensor, masks[i % masks.length] as Tensor]
      return (await server.predict(name, { ids, mask }, { outputs: ['pooled'] })).outputs.pooled?.data as Float32Array
    }
    const [ours, rival] = [callTo('filled'), callTo('alone')]
    await Promise.all(Array.from({ length: CALLERS }, async (_, i) => assertSame(await ours(i), await rival(i))))
    const pairs = await measurePairs({
      ours: () => closedLoop(CALLERS, MS, ours),
      rival: () => closedLoop(CALLERS, MS, rival),
    })
    const { batching, queue } = server.model('filled')
    await server.close()
    const filled = `our runs held ${(queue.rows / queue.batches).toFixed(1)} rows on average`
    return [
      pairedRow({
        bench: 'padding',
        what: `predict(), encoder of width 384, 3 to 12 tokens, ${CALLERS} callers`,
        rival: 'the same without batching',
        pairs,
        format: perSecond,
        how: `closed loop of ${MS} ms`,
        note: batching.padding?.enabled ? filled : `not filled up: ${batching.padding?.reason}`,
      }),
    ]
  },
}

const ones = (dims: readonly number[]): Tensor => ({
  type: 'int64',
  dims,
  data: new BigInt64Array(dims.reduce((all, dim) => all * dim, 1)).fill(1n),
})
