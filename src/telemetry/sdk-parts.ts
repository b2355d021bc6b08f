/**
 * Packages that `@opentelemetry/sdk-node` consists of but does not re-export in each of its release lines: the very ones that it uses
 * itself.
 */

import { requireFromPackage } from '../core/host/packages.ts'

/**
 * Loads the first of some packages that the SDK depends on.
 * @param names in order of preference: a newer release line may have renamed one of them
 * @throws the error of Node if the SDK has none of them
 */
export function partOfSdk(...names: readonly [string, ...string[]]): unknown {
  const fromSdk = requireFromPackage('@opentelemetry/sdk-node')
  const found = names.find((name) => isThere(fromSdk, name))
  return fromSdk(found ?? names[0])
}

function isThere({ resolve }: NodeJS.Require, name: string): boolean {
  try {
    resolve(name)
    return true
  } catch {
    return false
  }
}
