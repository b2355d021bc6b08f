/** Checks that the process can load ONNX Runtime. */

import { existsSync } from 'node:fs'
import { FLAGS, hostUnsupported, RUNTIME_MISSING } from './problems.ts'
import { requireFromScripts, scriptPath } from './scripts.ts'

/**
 * ONNX Runtime reads this once, from the real environment, when the process first loads it. A worker thread has only a copy of the
 * environment. Models started from a worker thread therefore run in processes, which inherit that copy.
 */
export function disableOrtTelemetry(): void {
  process.env.ORT_DISABLE_TELEMETRY ??= '1'
}

/**
 * Names the remedy before a worker fails with a stack trace.
 * @throws ModelmountError `HOST_UNSUPPORTED`
 */
export function checkHost(): void {
  const { platform, arch } = process
  if (platform === 'linux' && existsSync('/etc/alpine-release'))
    throw hostUnsupported('platform', 'onnxruntime-node has no build for Alpine (musl); use a glibc image such as node:24-slim')
  if (platform === 'darwin' && arch === 'x64')
    throw hostUnsupported('platform', 'onnxruntime-node has no build for macOS on Intel')
  // Every server reads requests and hashes files in threads.
  if (process.permission?.has('worker') === false)
    throw hostUnsupported('permission', `Node's permission model (--permission) lets no worker start; modelmount needs ${FLAGS}`)
  for (const script of ['worker', 'decode-worker', 'hash-worker'] as const) scriptPath(script)
  try {
    requireFromScripts().resolve('onnxruntime-node')
  } catch (cause) {
    throw hostUnsupported('onnxruntime-missing', RUNTIME_MISSING, cause)
  }
}
