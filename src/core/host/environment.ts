/** What the process must offer before ONNX Runtime is loaded in it. */

import { existsSync } from 'node:fs'
import { FLAGS, hostUnsupported, RUNTIME_MISSING } from './problems.ts'
import { requireFromScripts, scriptPath } from './scripts.ts'

/**
 * ONNX Runtime reads this once, from the real environment, when it is first loaded anywhere in the process. A worker thread has a copy of the
 * environment; there models run in processes, which get theirs from that copy.
 */
export function disableOrtTelemetry(): void {
  process.env.ORT_DISABLE_TELEMETRY ??= '1'
}

/**
 * Says what to do before a worker fails with a stack trace.
 * @throws ModelmountError `HOST_UNSUPPORTED`
 */
export function checkHost(): void {
  const { platform, arch } = process
  if (platform === 'linux' && existsSync('/etc/alpine-release'))
    throw hostUnsupported('platform', 'onnxruntime-node has no build for Alpine (musl); use a glibc image such as node:24-slim')
  if (platform === 'darwin' && arch === 'x64')
    throw hostUnsupported('platform', 'onnxruntime-node has no build for macOS on Intel')
  // Requests are read, and files hashed, in threads of every server.
  if (process.permission?.has('worker') === false)
    throw hostUnsupported('permission', `Node's permission model (--permission) lets no worker start; modelmount needs ${FLAGS}`)
  for (const script of ['worker', 'decode-worker', 'hash-worker'] as const) scriptPath(script)
  try {
    requireFromScripts().resolve('onnxruntime-node')
  } catch (cause) {
    throw hostUnsupported('onnxruntime-missing', RUNTIME_MISSING, cause)
  }
}
