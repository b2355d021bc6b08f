/** What the process must offer before ONNX Runtime is loaded in it. */

import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { isMainThread } from 'node:worker_threads'
import { ModelmountError } from './errors.ts'
import type { ServerEvent } from './types.ts'

/** ONNX Runtime reads this once, from the real environment, when it is first loaded anywhere in the process. */
export function disableOrtTelemetry(emit: (event: ServerEvent) => void): void {
  if (process.env.ORT_DISABLE_TELEMETRY !== undefined) return
  process.env.ORT_DISABLE_TELEMETRY = '1'
  if (!isMainThread)
    emit({
      type: 'warning',
      message:
        "ONNX Runtime's telemetry can only be switched off from the main thread; set ORT_DISABLE_TELEMETRY=1 in the environment",
    })
}

/**
 * Says what to do before a worker fails with a stack trace.
 * @throws ModelmountError `OPTIONS_INVALID`
 */
export function checkOnnxRuntime(): void {
  const { platform, arch } = process
  if (platform === 'linux' && existsSync('/etc/alpine-release'))
    throw new ModelmountError(
      'OPTIONS_INVALID',
      'onnxruntime-node has no build for Alpine (musl); use a glibc image such as node:24-slim',
    )
  if (platform === 'darwin' && arch === 'x64')
    throw new ModelmountError('OPTIONS_INVALID', 'onnxruntime-node has no build for macOS on Intel')
  try {
    createRequire(import.meta.url).resolve('onnxruntime-node')
  } catch (cause) {
    throw new ModelmountError(
      'OPTIONS_INVALID',
      'the package onnxruntime-node is not installed; run: npm install onnxruntime-node',
      { cause },
    )
  }
}

/** Release of the installed onnxruntime-node; '' where it cannot be told. */
export function onnxRuntimeVersion(): string {
  try {
    const file = createRequire(import.meta.url).resolve('onnxruntime-node/package.json')
    const { version } = JSON.parse(readFileSync(file, 'utf8')) as { version?: unknown }
    return typeof version === 'string' ? version : ''
  } catch {
    return ''
  }
}
