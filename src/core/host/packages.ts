/** Loads packages that an app installs only if it uses the features behind them. */

import { readFileSync } from 'node:fs'
import { requireFrom, requireFromScripts } from './scripts.ts'

/**
 * Loads a package by name. The name is no literal, and the comments keep bundlers from following it.
 * A bundle is therefore built without packages that are not installed, and Node finds them beside the bundle.
 */
export const importPackage = (name: string): Promise<unknown> =>
  import(/* webpackIgnore: true */ /* turbopackIgnore: true */ /* @vite-ignore */ name)

/** `require` from inside a package, for packages beneath it that it does not re-export. */
export const requireFromPackage = (name: string): NodeJS.Require => requireFrom(requireFromScripts().resolve(name))

/** The installed release of onnxruntime-node; '' if unknown. */
export function onnxRuntimeVersion(): string {
  try {
    const file = requireFromScripts().resolve('onnxruntime-node/package.json')
    const { version } = JSON.parse(readFileSync(file, 'utf8')) as { version?: unknown }
    return typeof version === 'string' ? version : ''
  } catch {
    return ''
  }
}
