/** Packages that an app has where it uses what needs them. */

import { readFileSync } from 'node:fs'
import { requireFrom, requireFromScripts } from './scripts.ts'

/**
 * Loads a package by its name. The name is no literal, and the comments keep other bundlers off: so a bundle is made without the packages that
 * are not installed, and Node looks for them beside the bundle.
 */
export const importPackage = (name: string): Promise<unknown> =>
  import(/* webpackIgnore: true */ /* turbopackIgnore: true */ /* @vite-ignore */ name)

/** `require` as a package has it, for packages beneath it that it does not hand on. */
export const requireFromPackage = (name: string): NodeJS.Require => requireFrom(requireFromScripts().resolve(name))

/** The installed release of onnxruntime-node; '' where it cannot be told. */
export function onnxRuntimeVersion(): string {
  try {
    const file = requireFromScripts().resolve('onnxruntime-node/package.json')
    const { version } = JSON.parse(readFileSync(file, 'utf8')) as { version?: unknown }
    return typeof version === 'string' ? version : ''
  } catch {
    return ''
  }
}
