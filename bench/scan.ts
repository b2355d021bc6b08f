/** Looking a large model through before it is loaded: how fast, beside only reading the file, and in how much memory. */

import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ScanAnswer, ScanAsk } from './children/scan.ts'
import { startChild } from './lib/child.ts'
import { measurePairs } from './lib/pairs.ts'
import { type Bench, megabytes, pairedRow, type Row, rowOfRatios } from './lib/row.ts'
import { PROMISES } from './promises.ts'

const BYTES = 2 ** 30
const MAX_EXTRA_BYTES = 64 * 2 ** 20

/** Weights are stepped over where they are larger than what is read at once, 64 KiB; with tensors of about that size everything is read. */
const MODELS: readonly { readonly what: string; readonly tensors: number }[] = [
  { what: 'of 8 tensors', tensors: 8 },
  { what: 'of 16,384 tensors', tensors: 16_384 },
]

export const scan: Bench = {
  name: 'scan',
  limitS: 120,
  async run() {
    const dir = mkdtempSync(join(tmpdir(), 'modelmount-bench-'))
    try {
      const rows: Row[] = []
      for (const { what, tensors } of MODELS) rows.push(...(await measure(what, writeModel(join(dir, 'model.onnx'), tensors))))
      return rows
    } finally {
      rmSync(dir, { recursive: true, force: true })
    }
  },
}

async function measure(what: string, path: string): Promise<Row[]> {
  const child = startChild<ScanAsk, ScanAnswer>('children/scan.ts')
  const speed = async (how: ScanAsk['how']): Promise<number> => BYTES / (await child.ask({ how, path })).ms
  // First, before anything else makes the process larger.
  const { extraBytes } = await child.ask({ how: 'scan', path })
  const pairs = await measurePairs({ ours: () => speed('scan'), rival: () => speed('read'), pairs: 5 })
  await child.stop()
  return [
    pairedRow({
      bench: 'scan',
      what: `scan of a model of 1 GiB ${what}`,
      rival: 'reading the file',
      pairs,
      format: (perMs) => `${(perMs / 1e6).toFixed(1)} GB/s`,
      target: PROMISES.scanSpeed,
    }),
    rowOfRatios({
      bench: 'scan',
      what: `memory that the scan takes at its peak, ${what}`,
      ours: megabytes(extraBytes),
      rival: `bound: ${megabytes(MAX_EXTRA_BYTES)}`,
      ratios: [extraBytes / MAX_EXTRA_BYTES],
      target: PROMISES.scanMemory,
      how: 'resident memory of a fresh process, once',
    }),
  ]
}

/** An ONNX file of so many float tensors, sparse: their elements are zeros that no disk holds. */
function writeModel(path: string, count: number): string {
  const elements = BYTES / count / 4
  const varint = (n: number): number[] => (n < 128 ? [n] : [(n % 128) + 128, ...varint(Math.floor(n / 128))])
  const tensor = [8, ...varint(elements), 16, 1, 0x42, 1, 0x77, 0x4a, ...varint(4 * elements)]
  const initializer = [0x2a, ...varint(tensor.length + 4 * elements), ...tensor]
  const step = initializer.length + 4 * elements
  const head = Uint8Array.from([8, 8, 0x42, 2, 0x10, 17, 0x3a, ...varint(count * step)])
  const file = openSync(path, 'w')
  writeSync(file, head, 0, head.length, 0)
  for (let i = 0; i < count; i++) writeSync(file, Uint8Array.from(initializer), 0, initializer.length, head.length + i * step)
  ftruncateSync(file, head.length + count * step)
  closeSync(file)
  return path
}
