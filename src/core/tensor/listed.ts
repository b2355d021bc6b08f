import type { ValueInfo } from './types.ts'

/** An input or output as lists show it: callers may change their own. */
export const listed = (info: ValueInfo): ValueInfo => ({ ...info, dims: info.dims && [...info.dims] })
