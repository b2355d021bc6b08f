/**
 * Keeps the host process from ending while a worker thread is inside a native call: tearing the thread's environment down then aborts the
 * whole process (SIGABRT). An `exit` listener is synchronous, so it waits on a counter that the worker lowers.
 */

import { PENDING, STOP } from './messages.ts'

/** A run that has not ended by then never will; waiting longer would hang the exit. */
const EXIT_WAIT_MS = 30_000

const flagsOfThreads = new Set<Int32Array>()
const childKillers = new Set<() => void>()
let installed = false

function onExit(): void {
  for (const kill of childKillers) kill()
  for (const flags of flagsOfThreads) Atomics.store(flags, STOP, 1)
  const deadline = Date.now() + EXIT_WAIT_MS
  for (const flags of flagsOfThreads) {
    for (let pending = Atomics.load(flags, PENDING); pending > 0; pending = Atomics.load(flags, PENDING)) {
      const leftMs = deadline - Date.now()
      if (leftMs <= 0) {
        process.stderr.write(
          'modelmount: a model run did not end; killing the process. Use isolation: "process" for models that may hang.\n',
        )
        process.kill(process.pid, 'SIGKILL')
      }
      Atomics.wait(flags, PENDING, pending, leftMs)
    }
  }
}

function install(): void {
  if (installed) return
  installed = true
  process.on('exit', onExit)
}

/** Watches a thread's flags until the returned function is called. */
export function guardThread(flags: Int32Array): () => void {
  install()
  flagsOfThreads.add(flags)
  return () => flagsOfThreads.delete(flags)
}

/** Ensures that a child does not outlive the host. */
export function guardChild(kill: () => void): () => void {
  install()
  childKillers.add(kill)
  return () => childKillers.delete(kill)
}
