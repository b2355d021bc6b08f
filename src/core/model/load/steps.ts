/** A list of steps, each named by its function and given what the one before has returned. */

export type Step<Before, After, Context> = (before: Before, context: Context) => After | Promise<After>

export interface Steps<First, Last, Context> {
  readonly names: readonly string[]
  next<Next>(step: Step<Last, Next, Context>): Steps<First, Next, Context>
  run(first: First, context: Context): Promise<Last>
}

export const inOrder = <Before, After, Context>(step: Step<Before, After, Context>): Steps<Before, After, Context> =>
  listOf([step.name], async (first, context) => step(first, context))

function listOf<First, Last, Context>(
  names: readonly string[],
  run: (first: First, context: Context) => Promise<Last>,
): Steps<First, Last, Context> {
  return {
    names,
    run,
    next: (step) => listOf([...names, step.name], async (first, context) => step(await run(first, context), context)),
  }
}
