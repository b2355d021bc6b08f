/**
 * Requests and answers of the model repository extension.
 * https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_model_repository.md
 */

import { ModelmountError } from '../../errors.ts'
import type { ModelInfo, ModelState } from '../../model/types.ts'
import { kindOf, quote, typedArrayName } from '../../tensor/index.ts'
import { invalid, isObject, type Json, optional, readFlag } from '../codec/fields.ts'
import { parseJson } from '../codec/json.ts'

/** These requests have little to say: a line is enough. */
export const MOST_REPOSITORY_BYTES = 16 * 1024

/** A body that may be left out, as all its members may. */
function readBody(body: unknown): Json {
  const isBytes = typedArrayName(body) === 'Uint8Array'
  if (body === undefined || body === '' || (isBytes && (body as Uint8Array).byteLength === 0)) return {}
  const size = isBytes ? (body as Uint8Array).byteLength : typeof body === 'string' ? body.length : 0
  if (size > MOST_REPOSITORY_BYTES)
    throw new ModelmountError('BODY_TOO_LARGE', `the body of this request is larger than ${MOST_REPOSITORY_BYTES} bytes`)
  const request = isBytes || typeof body === 'string' ? parseJson(body as Uint8Array | string) : body
  if (isObject(request)) return request
  throw new ModelmountError('REQUEST_INVALID', `the request body must be a JSON object, got ${kindOf(request)}`)
}

/** @returns true when only models that are ready are wanted */
export function readIndexRequest(body: unknown): boolean {
  const ready = optional(readBody(body).ready) ?? false
  if (typeof ready !== 'boolean') throw invalid('ready', 'true or false', ready)
  return ready
}

/** Each of them means something. */
function parametersOf(body: unknown): Json {
  const parameters = optional(readBody(body).parameters) ?? {}
  if (!isObject(parameters)) throw invalid('parameters', 'an object', parameters)
  return Object.fromEntries(Object.entries(parameters).filter(([, value]) => optional(value) !== undefined))
}

/**
 * Models come from the repository of the server and nowhere else: a client that may load them may not bring files or settings of its own.
 * @throws ModelmountError `REQUEST_INVALID`
 */
export function checkLoadRequest(body: unknown): void {
  for (const name of Object.keys(parametersOf(body))) throw unsupported(name)
}

/** No model depends on another, so there is nothing more to unload. */
export function checkUnloadRequest(body: unknown): void {
  const parameters = parametersOf(body)
  readFlag(parameters, 'unload_dependents', 'parameters')
  for (const name of Object.keys(parameters)) if (name !== 'unload_dependents') throw unsupported(name)
}

function unsupported(name: string): ModelmountError {
  const field = `parameters[${quote(name)}]`
  return new ModelmountError('REQUEST_INVALID', `${field} is not supported: models are loaded from the server's own repository`, {
    details: { field },
  })
}

/** One version, known to the server or found in its repository. */
export interface IndexEntry {
  readonly name: string
  readonly version: string
  readonly state: ModelState
  readonly reason?: ModelInfo['reason']
}

const STATES: Readonly<Record<ModelState, string>> = {
  loading: 'LOADING',
  ready: 'READY',
  draining: 'UNLOADING',
  failed: 'UNAVAILABLE',
  unloaded: 'UNAVAILABLE',
}

/** The answer to `POST /v2/repository/index`. */
export function encodeIndex(entries: readonly IndexEntry[]): Uint8Array {
  const rows = entries.map(({ name, version, state, reason }) => {
    const why = state === 'unloaded' ? 'unloaded' : reason && reasonOf(reason.code)
    return { name, version, state: STATES[state], ...(why === undefined ? {} : { reason: why }) }
  })
  return Buffer.from(JSON.stringify(rows), 'utf8')
}

/** By code: the full message may hold paths and ONNX Runtime's own words, which are for the log. */
function reasonOf(code: string): string {
  if (code === 'MODEL_INVALID') return 'the file is not a valid ONNX model'
  if (code === 'MODEL_UNSUPPORTED') return 'the model needs something that this server cannot run'
  return 'the model could not be loaded; the log of the server says why'
}

/** A load that failed, told to the client: the kind of fault, and where to read more. */
export function loadFailure(name: string, error: ModelmountError): ModelmountError {
  if (!/^MODEL_(?:INVALID|UNSUPPORTED|LOAD_FAILED)$/.test(error.code)) return error
  return new ModelmountError(error.code, `model ${quote(name)} could not be loaded: ${reasonOf(error.code)}`, { cause: error })
}
