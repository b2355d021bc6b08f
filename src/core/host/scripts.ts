/**
 * The scripts that run in threads and processes of their own: their location in an installed package or a bundle, and how their
 * threads start.
 */

import { existsSync } from 'node:fs'
// Called on the module, not by itself: webpack would replace the latter with a require() of its own.
import nodeModule from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Worker, WorkerOptions } from 'node:worker_threads'
import { hostUnsupported, refusedByHost } from './problems.ts'

export type Script = 'worker' | 'decode-worker' | 'hash-worker' | 'prometheus-worker'

/** Written out one by one: bundlers that ship such files recognise only this form. */
const URLS: Readonly<Record<Script, () => URL>> = {
  worker: () => new URL('./workers/worker.cjs', import.meta.url),
  'decode-worker': () => new URL('./workers/decode-worker.cjs', import.meta.url),
  'hash-worker': () => new URL('./workers/hash-worker.cjs', import.meta.url),
  'prometheus-worker': () => new URL('./workers/prometheus-worker.cjs', import.meta.url),
}

/** In CommonJS this is the running file: in a bundle, the bundle. */
const FILE = ownFile()

/** Tried rather than tested with `typeof`: webpack evaluates that to 'string' for ES modules, too. */
function ownFile(): string | undefined {
  try {
    return __filename
  } catch {
    return undefined
  }
}

/** The path of a script; undefined if a bundler left it out. */
export function findScript(script: Script): string | undefined {
  return candidates(script).find((path) => existsSync(path))
}

/** @throws ModelmountError `HOST_UNSUPPORTED` if a bundler left it out */
export function scriptPath(script: Script): string {
  const path = findScript(script)
  if (path !== undefined) return path
  throw hostUnsupported(
    'bundled',
    `modelmount was bundled, and its ${script}.cjs is not at ${candidates(script)[0]}: leave modelmount out of the bundle, or copy the folder node_modules/modelmount/dist/workers beside the bundle (docs/bundling.md)`,
  )
}

/** A file of the package in CommonJS may lie one folder deeper than the scripts' folder. */
function candidates(script: Script): string[] {
  const beside = FILE === undefined ? [] : [dirname(FILE), dirname(dirname(FILE))]
  const paths = beside.map((folder) => join(folder, 'workers', `${script}.cjs`))
  try {
    return [fileURLToPath(URLS[script]()), ...paths]
  } catch {
    // A bundle in CommonJS has no import.meta.url.
    return paths
  }
}

/** `require` as seen from a path or URL. */
export const requireFrom = (file: string): NodeJS.Require => nodeModule.createRequire(file)

/** `require` as the engine's script sees it: packages are resolved from there. */
export const requireFromScripts = (): NodeJS.Require => requireFrom(findScript('worker') ?? FILE ?? import.meta.url)

/**
 * Node flags for every thread and child process. The host's own loaders and inspector flags are left out.
 * Yarn's Plug'n'Play stays, because no package would be found without it.
 */
export function scriptArgs(): string[] {
  return process.versions.pnp === undefined ? [] : ['--require', requireFromScripts().resolve('pnpapi')]
}

/**
 * Starts a thread.
 * @param path of a script @throws ModelmountError `HOST_UNSUPPORTED` if the host cannot start threads
 */
export function startThread(path: string, options: WorkerOptions): Worker {
  try {
    // Not imported: Turbopack takes an unreadable path for any file of the package, declarations included, and fails on those.
    const threads = process.getBuiltinModule('node:worker_threads')
    return new threads.Worker(path, { ...options, execArgv: scriptArgs() })
  } catch (error) {
    throw refusedByHost(error)
  }
}
