/**
 * The scripts that run in threads and processes of their own: where they lie when the package is installed and when the app is bundled, and
 * how a thread of them starts.
 */

import { existsSync } from 'node:fs'
// Of the module, not by itself: webpack takes that for a require() of its own.
import nodeModule from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Worker, WorkerOptions } from 'node:worker_threads'
import { hostUnsupported, refusedByHost } from './problems.ts'

export type Script = 'worker' | 'decode-worker' | 'hash-worker' | 'prometheus-worker'

/** Written out one by one: bundlers that take such files along find them by this form alone. */
const URLS: Readonly<Record<Script, () => URL>> = {
  worker: () => new URL('./workers/worker.cjs', import.meta.url),
  'decode-worker': () => new URL('./workers/decode-worker.cjs', import.meta.url),
  'hash-worker': () => new URL('./workers/hash-worker.cjs', import.meta.url),
  'prometheus-worker': () => new URL('./workers/prometheus-worker.cjs', import.meta.url),
}

/** In CommonJS the file that runs: in a bundle, the bundle. */
const FILE = ownFile()

/** Tried, not asked by `typeof`: webpack answers that with 'string' for ES modules, too. */
function ownFile(): string | undefined {
  try {
    return __filename
  } catch {
    return undefined
  }
}

/** The path of a script; undefined where a bundler has left it behind. */
export function findScript(script: Script): string | undefined {
  return candidates(script).find((path) => existsSync(path))
}

/** @throws ModelmountError `HOST_UNSUPPORTED` where a bundler has left it behind */
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

/** `require` as the file at a path or URL has it. */
export const requireFrom = (file: string): NodeJS.Require => nodeModule.createRequire(file)

/** `require` as the engine's script has it: packages are looked up from there. */
export const requireFromScripts = (): NodeJS.Require => requireFrom(findScript('worker') ?? FILE ?? import.meta.url)

/**
 * Flags of Node that every thread and child of ours gets. The host's own loaders and inspector flags are not theirs, but without Yarn's
 * Plug'n'Play they would find no package.
 */
export function scriptArgs(): string[] {
  return process.versions.pnp === undefined ? [] : ['--require', requireFromScripts().resolve('pnpapi')]
}

/**
 * Starts a thread.
 * @param path of a script @throws ModelmountError `HOST_UNSUPPORTED` where the host lets no thread start
 */
export function startThread(path: string, options: WorkerOptions): Worker {
  try {
    // Not imported: Turbopack takes a path that it cannot read for any file of the package, declarations included, and fails on those.
    const threads = process.getBuiltinModule('node:worker_threads')
    return new threads.Worker(path, { ...options, execArgv: scriptArgs() })
  } catch (error) {
    throw refusedByHost(error)
  }
}
