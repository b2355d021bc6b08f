/** Facts about a value in a graph: its rank, and the dimension that counts the rows of the request. */

/** The number of rows, in the computation of a shape. */
export const ROWS = Symbol('rows')

/** Another size of the request, unrelated to the number of rows. */
export const SIZE = Symbol('size')

/** A size or index: known, a size of the request, or unknown. */
export type Int = number | typeof ROWS | typeof SIZE | undefined

export interface Flow {
  readonly rank: number
  /** The dimension that counts rows; `undefined` if the value has none. */
  readonly rows: number | undefined
  /** True if data of the callers went into it. A value can have rows without it, such as zeros of the batch's size. */
  readonly data: boolean
  /** The elements of a small vector or scalar of integers. */
  readonly ints?: readonly Int[]
}

/** `undefined` if nothing is known: such a value is never held against the model. */
export type MaybeFlow = Flow | undefined

export const fixed = (rank: number, ints?: readonly Int[]): Flow => ({
  rank,
  rows: undefined,
  data: false,
  ...(ints ? { ints } : {}),
})

/** Without its elements: another value of the same shape. */
export const shaped = ({ rank, rows, data }: Flow): Flow => ({ rank, rows, data })

/** The elements of a vector of known length; a scalar is one. */
export const intsOf = (flow: MaybeFlow): readonly Int[] | undefined => flow?.ints ?? (flow?.rank === 0 ? [undefined] : undefined)

/** The elements, if all of them are plain numbers. */
export function numbersOf(flow: MaybeFlow): readonly number[] | undefined {
  return flow?.ints?.every((int) => typeof int === 'number') ? (flow.ints as readonly number[]) : undefined
}

/** An axis counted from the front. */
export const normal = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis)

/** The shape of values broadcast against each other; `undefined` if their rows do not meet. */
export function broadcast(flows: readonly MaybeFlow[]): MaybeFlow {
  let rank = 0
  for (const flow of flows) {
    if (!flow) return undefined
    rank = Math.max(rank, flow.rank)
  }
  let rows: number | undefined
  let data = false
  for (const flow of flows) {
    data ||= flow?.data === true
    if (flow?.rows === undefined) continue
    const at = flow.rows + rank - flow.rank
    if (rows !== undefined && rows !== at) return undefined
    rows = at
  }
  return { rank, rows, data }
}

/** Whether callers' rows lie along different dimensions of the broadcast values: each row then meets all others. */
export function meet(flows: readonly MaybeFlow[]): boolean {
  const rows = flows.flatMap((flow) => (flow?.data && flow.rows !== undefined ? [flow.rows - flow.rank] : []))
  return rows.some((at) => at !== rows[0])
}
