/** A model whose bytes are partly replaced on their way from the file into ONNX Runtime; the file stays as it is. */

import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { dirname } from 'node:path'
import { ModelmountError } from '../errors.ts'
import { type Patch, spliced } from '../onnx/splice.ts'

export interface Patched {
  readonly source: string | Uint8Array
  readonly patch: Patch
}

/** The source for ONNX Runtime: the path itself if nothing is replaced, else the new bytes. */
export function readPatched(source: string | Uint8Array, patch: Patch): string | Uint8Array {
  if (patch.length === 0) return source
  if (typeof source !== 'string')
    return spliced(source.length, patch, (into, from) => into.set(source.subarray(from, from + into.length)))
  const file = openSync(source, 'r')
  try {
    return spliced(fstatSync(file).size, patch, (into, from) => fill(file, into, from))
  } finally {
    closeSync(file)
  }
}

/** The folder of a file that is loaded as bytes. */
export const folderOf = ({ source, patch }: Patched): string | undefined =>
  typeof source === 'string' && patch.length > 0 ? dirname(source) : undefined

function fill(file: number, into: Uint8Array, from: number): void {
  let filled = 0
  while (filled < into.length) {
    const read = readSync(file, into, filled, into.length - filled, from + filled)
    if (read === 0) throw new ModelmountError('MODEL_LOAD_FAILED', 'the file became shorter while it was read')
    filled += read
  }
}
