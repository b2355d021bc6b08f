/** GPUs according to `nvidia-smi`: queried beside the collection, never waited for, and not again if there is none. */

import { type ChildProcess, execFile } from 'node:child_process'
import type { Socket } from 'node:net'
import type { Instruments, Observe } from './instruments.ts'
import { ATTR_GPU, ATTR_GPU_NAME, METRICS } from './names.ts'

const FIELDS = ['uuid', 'name', 'utilization.gpu', 'memory.used', 'memory.total', 'power.draw']
const TIMEOUT_MS = 5000
/** A driver under load takes a second to answer; asking it at every scrape would be load of its own. */
const MAX_AGE_MS = 10_000
/** Older numbers are no longer true. */
const STALE_MS = 60_000
/** Failed queries in a row after which it is not asked again. */
const MAX_FAILURES = 3
const MIB = 1024 * 1024

export interface GpuReading {
  readonly id: string
  readonly name: string
  /** `undefined` if the card does not report it. */
  readonly utilization: number | undefined
  readonly usedBytes: number | undefined
  readonly totalBytes: number | undefined
  readonly watts: number | undefined
}

/** Reads the answer to `--query-gpu` in CSV without header and units; fields that are `[N/A]` or `[Not Supported]` are left out. */
export function parseGpus(csv: string): GpuReading[] {
  const readings: GpuReading[] = []
  for (const line of csv.split('\n')) {
    const [id, name, ...numbers] = line.split(',').map((field) => field.trim())
    if (!id || !name || numbers.length !== FIELDS.length - 2) continue
    const [percent, used, total, watts] = numbers.map((text) => (/^\d+(?:\.\d+)?$/.test(text) ? Number(text) : undefined))
    readings.push({
      id,
      name,
      utilization: percent === undefined ? undefined : percent / 100,
      usedBytes: used === undefined ? undefined : used * MIB,
      totalBytes: total === undefined ? undefined : total * MIB,
      watts,
    })
  }
  return readings
}

/**
 * @param file the program to run
 * @param clock milliseconds, monotonic
 * @returns a function that ends the observation
 */
export function observeGpus(instruments: Instruments, file = 'nvidia-smi', clock = () => performance.now()): () => void {
  const { gpuUtilization, gpuMemory, gpuMemoryLimit, gpuPower } = METRICS
  const metrics = { gpuUtilization, gpuMemory, gpuMemoryLimit, gpuPower }
  let readings: readonly GpuReading[] = []
  let readAt = Number.NEGATIVE_INFINITY
  let askedAt = Number.NEGATIVE_INFINITY
  let asked: ChildProcess | undefined
  let failures = 0

  function ask(): void {
    askedAt = clock()
    asked = execFile(
      file,
      [`--query-gpu=${FIELDS.join(',')}`, '--format=csv,noheader,nounits'],
      { timeout: TIMEOUT_MS, killSignal: 'SIGKILL', windowsHide: true, maxBuffer: 1024 * 1024 },
      (error, stdout) => {
        asked = undefined
        const found = error ? [] : parseGpus(stdout)
        failures = found.length > 0 ? 0 : failures + 1
        if (found.length === 0) return
        readings = found
        readAt = clock()
      },
    )
    // A hung program must not keep the app from ending, and neither must its pipes.
    for (const handle of [asked, asked.stdout, asked.stderr]) (handle as ChildProcess | Socket | null)?.unref()
  }

  function read(observe: Observe<keyof typeof metrics>): void {
    const now = clock()
    if (!asked && failures < MAX_FAILURES && now - askedAt > MAX_AGE_MS) ask()
    if (now - readAt > STALE_MS) return
    for (const { id, name, utilization, usedBytes, totalBytes, watts } of readings) {
      const attributes = { [ATTR_GPU]: id, [ATTR_GPU_NAME]: name }
      if (utilization !== undefined) observe('gpuUtilization', utilization, attributes)
      if (usedBytes !== undefined) observe('gpuMemory', usedBytes, attributes)
      if (totalBytes !== undefined) observe('gpuMemoryLimit', totalBytes, attributes)
      if (watts !== undefined) observe('gpuPower', watts, attributes)
    }
  }

  const end = instruments.observe(metrics, read)
  return () => {
    end()
    asked?.kill('SIGKILL')
  }
}
