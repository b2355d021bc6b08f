/** The process that scans, or only reads, a file. */

import { open } from 'node:fs/promises'
import { scanOnnx } from '../../src/core/onnx/index.ts'
import { answerParent } from '../lib/child.ts'

export interface ScanAsk {
  readonly how: 'scan' | 'read'
  readonly path: string
}

export interface ScanAnswer {
  readonly ms: number
  /** By how much the resident memory grew, at its peak. */
  readonly extraBytes: number
}

const READ_BYTES = 1024 * 1024

async function read(path: string): Promise<void> {
  const file = await open(path)
  const buffer = new Uint8Array(READ_BYTES)
  while ((await file.read(buffer, 0, READ_BYTES)).bytesRead > 0);
  await file.close()
}

async function scan(path: string): Promise<void> {
  const { findings } = await scanOnnx(path)
  if (findings.length > 0) throw new Error(`the model is not clean: ${findings[0]?.message}`)
}

answerParent<ScanAsk, ScanAnswer>(async ({ how, path }) => {
  const before = process.memoryUsage.rss()
  const started = performance.now()
  await (how === 'scan' ? scan(path) : read(path))
  const ms = performance.now() - started
  // The high-water mark is of the whole life of the process, so only the first answer counts.
  return { ms, extraBytes: Math.max(0, process.resourceUsage().maxRSS * 1024 - before) }
})
