/** What a request says of its sequence, and how sequences are told apart. */

/** One request's place in a sequence. */
export interface SequenceCall {
  /** Not 0 and not empty. A number and the text of it are two ids, as they are for Triton. */
  readonly id: string | number | bigint
  /** It begins here, with fresh state, whatever there was under this id before. */
  readonly start?: boolean | undefined
  /** Nothing is kept after this request. */
  readonly end?: boolean | undefined
}

/** Every tenant has ids of its own. */
export const sequenceKey = (tenant: string | undefined, { id }: Pick<SequenceCall, 'id'>): string =>
  `${typeof id === 'string' ? 'text' : 'number'} ${JSON.stringify([String(id), tenant ?? ''])}`
