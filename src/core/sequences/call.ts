/** A request's place in a sequence, and the keys that tell sequences apart. */

/** One request's place in a sequence. */
export interface SequenceCall {
  /** Not 0 and not empty. A number and its text are two ids, as they are for Triton. */
  readonly id: string | number | bigint
  /** It begins here, with fresh state, discarding any earlier state of this id. */
  readonly start?: boolean | undefined
  /** Nothing is kept after this request. */
  readonly end?: boolean | undefined
}

/** Every tenant has ids of its own. */
export const sequenceKey = (tenant: string | undefined, { id }: Pick<SequenceCall, 'id'>): string =>
  `${typeof id === 'string' ? 'text' : 'number'} ${JSON.stringify([String(id), tenant ?? ''])}`
