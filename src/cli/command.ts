/** A subcommand, and the way it reads its arguments. */

import { type ParseArgsConfig, parseArgs } from 'node:util'

export interface Command {
  /** The lines below "Usage:", indented by two, with the text about its options. */
  readonly usage: string
  readonly options?: string
  /** Resolves with the exit code. @throws UsageError for wrong arguments: exit code 2 */
  run(argv: readonly string[]): Promise<number>
}

/** Wrong use of the command itself: exit code 2. */
export class UsageError extends Error {}

type OptionTypes = NonNullable<ParseArgsConfig['options']>

/** @throws UsageError */
export function parse<T extends OptionTypes>(args: readonly string[], options: T) {
  try {
    return parseArgs<{ args: string[]; options: T; allowPositionals: true }>({ args: [...args], options, allowPositionals: true })
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

/** @throws UsageError */
export function wholeNumber(text: unknown, name: string, min: number, max: number): number {
  const value = typeof text === 'string' && /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (!(value >= min && value <= max))
    throw new UsageError(`${name} must be a whole number from ${min} to ${max}, got '${String(text)}'`)
  return value
}
