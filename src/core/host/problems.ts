/** Reasons of the host, not of a model, for which a worker cannot start or load ONNX Runtime; each with its remedy. */

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

/** Of Node's permission model. */
export const FLAGS = '--allow-worker --allow-addons --allow-child-process --allow-fs-read=* --allow-fs-write=<temporary folder>'

export const RUNTIME_MISSING =
  'the package onnxruntime-node is not installed where modelmount runs; run: npm install onnxruntime-node, and ship node_modules with it beside a bundle'

interface Sign {
  readonly says: RegExp
  readonly problem: HostProblem
  readonly message: string
}

/** What Node and the loader of the system say, in the order in which to look. */
const SIGNS: readonly Sign[] = [
  {
    // The loader takes a library by its short name; the one that is loaded already has other symbols.
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

/** @param text what was said when a worker started @returns undefined where the host is not to blame */
export function hostProblem(text: string): ModelmountError | undefined {
  const sign = SIGNS.find(({ says }) => says.test(text))
  return sign && hostUnsupported(sign.problem, sign.message, new Error(text.slice(0, 2000)))
}

export const isOfHost = (error: unknown): boolean => isModelmountError(error) && error.code === 'HOST_UNSUPPORTED'

/** An error that was thrown where a worker starts; one of another kind as it is. */
export function refusedByHost(error: unknown): unknown {
  const code = (error as NodeJS.ErrnoException | undefined)?.code
  return hostProblem(`${code}: ${error instanceof Error ? error.message : String(error)}`) ?? error
}
