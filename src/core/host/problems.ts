/** Host faults, not model faults, that keep a worker from starting or loading ONNX Runtime; each with its remedy. */

import { isModelmountError, ModelmountError } from '../errors.ts'

/** Stable names, in `details.problem` of `HOST_UNSUPPORTED`. */
export type HostProblem =
  | 'bundled'
  | 'onnxruntime-missing'
  | 'onnxruntime-conflict'
  | 'permission'
  | 'platform'
  | 'temporary-folder'

export const hostUnsupported = (problem: HostProblem, message: string, cause?: unknown): ModelmountError =>
  new ModelmountError('HOST_UNSUPPORTED', message, { details: { problem }, ...(cause === undefined ? {} : { cause }) })

/** Raised by Node's permission model. */
export const FLAGS = '--allow-worker --allow-addons --allow-child-process --allow-fs-read=* --allow-fs-write=<temporary folder>'

export const RUNTIME_MISSING =
  'the package onnxruntime-node is not installed where modelmount runs; run: npm install onnxruntime-node, and ship node_modules with it beside a bundle'

interface Sign {
  readonly says: RegExp
  readonly problem: HostProblem
  readonly message: string
}

/** Messages of Node and the system's loader, in the order of the search. */
const SIGNS: readonly Sign[] = [
  {
    // The loader finds a library by its short name; another one of that name is already loaded.
    says: /version [`'"]VERS_[\d.]+['"`] not found/,
    problem: 'onnxruntime-conflict',
    message:
      "another version of onnxruntime-node is loaded in this process, which can hold only one: set isolation: 'process', or install one version",
  },
  {
    says: /ERR_ACCESS_DENIED|Access to this API has been restricted|ERR_DLOPEN_DISABLED|loading addons is disabled/,
    problem: 'permission',
    message: `Node's permission model (--permission) keeps a worker of modelmount from starting; it needs ${FLAGS}`,
  },
  {
    says: /Cannot find (?:module|package) 'onnxruntime-(?:node|common)'|tried to access onnxruntime-node/,
    problem: 'onnxruntime-missing',
    message: RUNTIME_MISSING,
  },
  {
    says: /libonnxruntime[\w.]*: cannot open shared object file|Cannot find module '[^']*onnxruntime_binding\.node'/,
    problem: 'onnxruntime-missing',
    message:
      'the native library of onnxruntime-node was not shipped: a bundler or tracer left out its folder bin (docs/bundling.md)',
  },
]

/** @param text output of a worker that failed to start @returns undefined if the host is not the cause */
export function hostProblem(text: string): ModelmountError | undefined {
  const sign = SIGNS.find(({ says }) => says.test(text))
  return sign && hostUnsupported(sign.problem, sign.message, new Error(text.slice(0, 2000)))
}

export const isOfHost = (error: unknown): boolean => isModelmountError(error) && error.code === 'HOST_UNSUPPORTED'

/** An error from a starting worker; errors of another kind are returned unchanged. */
export function refusedByHost(error: unknown): unknown {
  const code = (error as NodeJS.ErrnoException | undefined)?.code
  return hostProblem(`${code}: ${error instanceof Error ? error.message : String(error)}`) ?? error
}
