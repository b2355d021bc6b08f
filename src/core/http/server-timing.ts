/** `Server-Timing` (https://www.w3.org/TR/server-timing/) for mounts that want it. */

import type { PredictResult } from '../predict/types.ts'
import type { HttpDeps } from './route.ts'
import type { HttpRequest } from './types.ts'

type Timings = Pick<PredictResult, 'timings' | 'cached'>

export interface ServerTiming {
  readonly deps: HttpDeps
  /** The header of an answer to the request with these headers, if a model was run for it. */
  headerOf(headers: HttpRequest['headers']): string | undefined
}

/** Remembers what each request's run took until its answer is written. */
export function createServerTiming(deps: HttpDeps): ServerTiming {
  const taken = new WeakMap<HttpRequest['headers'], Timings>()
  return {
    deps: {
      ...deps,
      async run(model, inputs, opts, headers) {
        const result = await deps.run(model, inputs, opts, headers)
        if (headers) taken.set(headers, result)
        return result
      },
    },
    headerOf(headers) {
      const found = taken.get(headers)
      return found && written(found)
    },
  }
}

const ms = (value: number): string => value.toFixed(2)

function written({ timings: { queueMs, inferMs, totalMs }, cached }: Timings): string {
  const parts = cached ? ['cache;desc=hit'] : [`queue;dur=${ms(queueMs)}`, `infer;dur=${ms(inferMs)}`]
  return [...parts, `total;dur=${ms(totalMs)}`].join(', ')
}
