/** Watches a child's private memory. Mapped weights are shared and file-backed, so resident size would overstate it. */

import { readFileSync } from 'node:fs'

const POLL_MS = 25

/** Anonymous and shared-memory pages of a process in bytes; `undefined` if it is gone or this is not Linux. */
export function privateBytes(pid: number): number | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1')
    const anonymous = /^RssAnon:\s+(\d+) kB/m.exec(status)
    const shmem = /^RssShmem:\s+(\d+) kB/m.exec(status)
    return anonymous ? (Number(anonymous[1]) + Number(shmem?.[1] ?? 0)) * 1024 : undefined
  } catch {
    return undefined
  }
}

/** Calls `onExceeded` once if the process grows over the cap. Returns a function that stops watching. */
export function watchMemory(
  pid: number | undefined,
  maxBytes: number | undefined,
  onExceeded: (bytes: number) => void,
): () => void {
  if (pid === undefined || maxBytes === undefined) return () => {}
  const timer = setInterval(() => {
    const bytes = privateBytes(pid)
    if (bytes === undefined || bytes <= maxBytes) return
    clearInterval(timer)
    onExceeded(bytes)
  }, POLL_MS)
  timer.unref()
  return () => clearInterval(timer)
}
