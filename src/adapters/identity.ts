/** Asks the app on whose behalf a request comes. A failure is never a default: it refuses the request. */

import type { HttpHandler, Identify, Identity } from '../core/http/types.ts'
import { fault } from './fault.ts'

/** An option of every adapter, beside those of the mount. */
export interface Identified<Request> {
  /**
   * Says on whose behalf a request comes, from the framework's own request and what the app's authentication has put on it.
   * @default none: all requests are of one tenant
   */
  readonly identify?: Identify<Request>
}

/** {@link Identify} for one request. */
export type Ask = () => Identity | PromiseLike<Identity>

const LONGEST = 256

/**
 * Asks the app, and the guards of the server.
 * @returns the identity; a promise only where the app or a guard gave one; `undefined` for requests that need none
 * @throws ModelmountError `UNAUTHENTICATED`, `FORBIDDEN`, `IDENTITY_FAILED`, and the refusal of a guard
 */
export function identityOf(
  { runsModel, admit }: HttpHandler,
  method: string,
  path: string,
  ask: Ask | undefined,
): Identity | Promise<Identity | undefined> | undefined {
  if (!admit) return ask && runsModel(method, path) ? saidBy(ask) : undefined
  const admitted = (identity: Identity | undefined): Identity | Promise<Identity | undefined> | undefined => {
    const later = admit(method, path, identity)
    return later ? later.then(() => identity) : identity
  }
  const identity = ask && saidBy(ask)
  return identity instanceof Promise ? identity.then(admitted) : admitted(identity)
}

function saidBy(ask: Ask): Identity | Promise<Identity> {
  try {
    const said = ask()
    return isPromise(said) ? Promise.resolve(said).then(checked).catch(refuse) : checked(said)
  } catch (error) {
    return refuse(error)
  }
}

const isPromise = (value: unknown): value is PromiseLike<Identity> =>
  typeof (value as { then?: unknown } | null | undefined)?.then === 'function'

function checked(said: unknown): Identity {
  if (typeof said !== 'object' || said === null) throw wrong('identify() must give an object, { tenant?: string }')
  const { tenant } = said as { tenant?: unknown }
  if (tenant === undefined || (typeof tenant === 'string' && tenant.length > 0 && tenant.length <= LONGEST))
    return said as Identity
  throw wrong(`tenant of what identify() gives must be a string of 1 to ${LONGEST} characters`)
}

const wrong = (message: string): Error => fault('OPTIONS_INVALID', 500, message)

interface WithStatus {
  readonly status?: unknown
  readonly statusCode?: unknown
  getStatus?(): unknown
}

function statusOf(error: unknown): unknown {
  if (typeof error !== 'object' || error === null) return undefined
  const { status, statusCode } = error as WithStatus
  return status ?? statusCode ?? (error as WithStatus).getStatus?.()
}

/** The app's own words stay in the log: they may speak of its users, and are not for the caller. */
function refuse(cause: unknown): never {
  const status = statusOf(cause)
  if (status === 401) throw fault('UNAUTHENTICATED', 401, 'the request does not say on whose behalf it comes', { cause })
  if (status === 403) throw fault('FORBIDDEN', 403, 'the request is not allowed to those on whose behalf it comes', { cause })
  throw fault('IDENTITY_FAILED', 500, 'it could not be told on whose behalf the request comes', { cause })
}
