/** Options that take several values: `--ignore-paths a b`, and `--ignore-paths a --ignore-paths b` as in other tools. */

/**
 * Rewrites the first form into the second.
 * @param flags options with several values
 * @returns arguments for `parse()`, where those options are `multiple`
 */
export function repeatFlags(argv: readonly string[], flags: readonly string[]): string[] {
  const args: string[] = []
  /** Values of such a flag after its first, with their positions. */
  let further: number[] = []
  let flag: string | undefined
  let positionals = 0
  let values = 0
  let expectsValue = false
  for (const arg of argv) {
    if (arg.startsWith('-') && arg !== '-') {
      flag = flags.includes(arg) ? arg : undefined
      further = []
      values = 0
      expectsValue = !arg.includes('=')
      if (!flag) args.push(arg)
    } else if (flag) {
      if (values++ > 0) further.push(args.length)
      args.push(`${flag}=${arg}`)
    } else {
      if (!expectsValue) positionals++
      expectsValue = false
      args.push(arg)
    }
  }
  // `--ignore-paths a PATH`: one of them must be the model.
  const last = further.at(-1)
  if (positionals === 0 && flag && last === args.length - 1) args[last] = args[last]?.slice(flag.length + 1) ?? ''
  return args
}
