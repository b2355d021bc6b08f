/** The terms of a request over HTTP: its deadline, its turn and its tenant, as far as the operator lets callers say so. */

import type { Schedule } from '../dialects/index.ts'
import { ModelmountError } from '../errors.ts'
import type { Call } from '../predict/call.ts'
import type { Served } from '../predict/served.ts'
import type { MountConfig } from './options.ts'
import { earlier, TIMEOUT_HEADER, timeoutOf } from './timeout.ts'
import type { HttpRequest } from './types.ts'

type Terms = Pick<Call, 'timeoutMs' | 'priority'>

/** By its headers, which are each request's own: the deadline that holds for a request that has asked for a later one. */
const cut = new WeakMap<HttpRequest['headers'], number>()

/**
 * Until when a request must be read, as far as its headers tell.
 * @param at when it arrived
 * @param bodySays whether its body may ask for another time than its headers
 * @throws ModelmountError `REQUEST_INVALID`
 */
export function readBy(request: HttpRequest, { config }: Pick<Served, 'config'>, at: number, bodySays: boolean): number {
  const { timeoutMs, maxTimeoutMs } = config
  return at + Math.min(timeoutOf(request) ?? (bodySays ? maxTimeoutMs : timeoutMs), maxTimeoutMs)
}

/**
 * @param waitedMs since the request arrived, which its deadline counts from
 * @param schedule of the body, in dialects that have one
 * @throws ModelmountError `REQUEST_INVALID`, `DEADLINE_EXCEEDED`
 */
export function termsOf(
  request: HttpRequest,
  { config }: Pick<Served, 'config'>,
  { allowPriority }: Pick<MountConfig, 'allowPriority'>,
  waitedMs: number,
  schedule?: Schedule,
): Terms {
  const { headers } = request
  const asked = earlier(schedule?.timeoutMs, timeoutOf(request))
  const { timeoutMs, maxTimeoutMs } = config
  const granted = Math.min(asked ?? timeoutMs, maxTimeoutMs)
  if (asked !== undefined && granted < asked) cut.set(headers, granted)
  const priority = allowPriority ? schedule?.priority : undefined
  if (waitedMs >= granted) throw new ModelmountError('DEADLINE_EXCEEDED', 'the deadline passed before the request was read')
  return { timeoutMs: granted - waitedMs, priority }
}

/** Tells the deadline of a request in its answer, if it is not the one that was asked for. */
export function deadlineHeaders(headers: HttpRequest['headers'] | undefined): Readonly<Record<string, string>> | undefined {
  const ms = headers && cut.get(headers)
  return ms === undefined ? undefined : { [TIMEOUT_HEADER]: String(ms) }
}
