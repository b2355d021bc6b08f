/** `Server-Timing` (https://www.w3.org/TR/server-timing/) for mounts that want it. */

import type { Answer, Call } from '../predict/call.ts'
import type { HttpRequest } from './types.ts'

export interface ServerTiming {
  /** Remembers what the run of a request took until its answer is written. */
  note(headers: HttpRequest['headers'], call: Call, answer: Answer): void
  /** The header of an answer to the request with these headers, if a model was run for it. */
  headerOf(headers: HttpRequest['headers']): string | undefined
}

export function createServerTiming(): ServerTiming {
  const taken = new WeakMap<HttpRequest['headers'], string>()
  return {
    note: (headers, call, answer) => void taken.set(headers, written(call, answer)),
    headerOf: (headers) => taken.get(headers),
  }
}

const ms = (value: number): string => value.toFixed(2)

function written({ at }: Call, { queueMs, inferMs, endedAt, ageMs }: Answer): string {
  const parts = ageMs === undefined ? [`queue;dur=${ms(queueMs)}`, `infer;dur=${ms(inferMs)}`] : ['cache;desc=hit']
  return [...parts, `total;dur=${ms(endedAt - at)}`].join(', ')
}
