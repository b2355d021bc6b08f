/** The gain of reusing the memory of large inputs that comes back from the worker. */

import type { ModelServer } from 'modelmount'
import { SESSION } from './lib/direct.ts'
import { firstPixels, IMAGE } from './lib/first-pixels.ts'
import { product, rotatingFloats } from './lib/inputs.ts'
import { closedLoop } from './lib/loops.ts'
import { measurePairs } from './lib/pairs.ts'
import { createProvedServer } from './lib/proved.ts'
import { type Bench, pairedRow, perSecond, type Row, type Target } from './lib/row.ts'
import { assertSame } from './lib/same.ts'
import { PROMISES } from './promises.ts'

const MS = 200
const HANDED_MS = 500
/** A batch of eight images; or one image each of eight callers, which this model is not found to gain from joining: copying is all it does. */
const CASES: readonly { readonly callers: number; readonly images: number; readonly target?: Target }[] = [
  { callers: 1, images: 8, target: PROMISES.largeInputs },
  { callers: 8, images: 1 },
]

/** A server that keeps memory for the next request, or one that has none to keep: it may hold a sixteenth of what the process is granted. */
async function serve(source: Uint8Array, granted: () => number): Promise<ModelServer> {
  const { constrainedMemory } = process
  process.constrainedMemory = granted
  try {
    return await createProvedServer({ models: [{ name: 'm', source, session: SESSION }], strict: true })
  } finally {
    process.constrainedMemory = constrainedMemory
  }
}

/**
 * Calls per second of the time inside them. A caller that gives memory away makes new memory for the next call, which is no part of the call.
 * Both sides fill their memory just before: ours a fresh array, the rival its own.
 */
async function rateInside(
  ms: number,
  prepare: () => Float32Array,
  call: (data: Float32Array) => Promise<unknown>,
): Promise<number> {
  let [inside, calls] = [0, 0]
  for (const end = performance.now() + ms; performance.now() < end; calls++) {
    const data = prepare()
    const start = performance.now()
    await call(data)
    inside += performance.now() - start
  }
  return (calls * 1000) / inside
}

async function handedOver({ keeps, fresh }: Record<'keeps' | 'fresh', ModelServer>): Promise<Row> {
  const dims = [8, ...IMAGE]
  const input = rotatingFloats(product(dims))
  const own = new Float32Array(product(dims))
  let next = 0
  const filled = (array: Float32Array): Float32Array => {
    array.set(input(next++))
    return array
  }
  const callTo = (server: ModelServer, transfer: boolean) => (data: Float32Array) =>
    server.predict('m', { x: { type: 'float32', dims, data } }, { transfer })
  const [ours, rival] = [callTo(keeps, true), callTo(fresh, false)]
  return pairedRow({
    bench: 'large-inputs',
    what: `predict(), ${((4 * product(dims)) / 2 ** 20).toFixed(1)} MiB of input handed over, 1 caller`,
    rival: 'the same copied into fresh memory',
    pairs: await measurePairs({
      ours: () => rateInside(HANDED_MS, () => filled(new Float32Array(product(dims))), ours),
      rival: () => rateInside(HANDED_MS, () => filled(own), rival),
    }),
    format: perSecond,
    target: PROMISES.handedOver,
    how: `one call after the other for ${HANDED_MS} ms, the time inside them`,
  })
}

export const largeInputs: Bench = {
  name: 'large-inputs',
  limitS: 60,
  async run() {
    const source = firstPixels()
    const servers = { keeps: await serve(source, process.constrainedMemory), fresh: await serve(source, () => 1) }
    const rows: Row[] = []
    for (const { callers, images, target } of CASES) {
      const dims = [images, ...IMAGE]
      const input = rotatingFloats(product(dims))
      const callTo = (server: ModelServer) => async (i: number) =>
        (await server.predict('m', { x: { type: 'float32', dims, data: input(i) } })).outputs.y?.data as Float32Array
      const [ours, rival] = [callTo(servers.keeps), callTo(servers.fresh)]
      assertSame(await ours(0), await rival(0))
      const pairs = await measurePairs({
        ours: () => closedLoop(callers, MS, ours),
        rival: () => closedLoop(callers, MS, rival),
      })
      const size = (4 * product(dims)) / 2 ** 20
      rows.push(
        pairedRow({
          bench: 'large-inputs',
          what: `predict(), ${size.toFixed(1)} MiB of input, ${callers} caller${callers > 1 ? 's' : ''}`,
          rival: 'the same with fresh memory for every copy',
          pairs,
          format: perSecond,
          ...(target ? { target } : {}),
          how: `closed loop of ${MS} ms`,
        }),
      )
    }
    rows.push(await handedOver(servers))
    await Promise.all([servers.keeps.close(), servers.fresh.close()])
    return rows
  },
}
