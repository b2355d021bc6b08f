/** The encryption context that binds a file: authenticated with every byte of it, readable without the key. */

import { printable } from '../host/printable.ts'
import { refuseFile } from './refusal.ts'

/** The encryption context of one file. It must hold no personal data and no secret. */
export interface Context {
  readonly app: string
  readonly kind: 'model-file'
  readonly model: string
  readonly version: string
  /** Name inside the model, `.` for the model's own file. */
  readonly path: string
  /** Id of the plain files' manifest. */
  readonly manifest: string
}

const FIELDS = ['app', 'kind', 'model', 'version', 'path', 'manifest'] as const satisfies readonly (keyof Context)[]

/**
 * Compares pair by pair: a successful decryption proves only that the writer had the key.
 * @param expected the pairs that are known beforehand
 * @throws ModelmountError `MODEL_UNTRUSTED`
 */
export function checkContext(found: Readonly<Record<string, string>>, expected: Partial<Context>, file: string): Context {
  const names = Object.keys(found)
  const stranger = names.find((name) => !(FIELDS as readonly string[]).includes(name))
  if (stranger !== undefined) throw refuseFile(file, `is bound to '${shown(stranger)}', which no model is`)
  for (const field of FIELDS) {
    const value = Object.hasOwn(found, field) ? found[field] : undefined
    if (value === undefined) throw refuseFile(file, `is not bound to a ${field}`)
    const wanted = expected[field]
    if (wanted !== undefined && wanted !== value)
      throw refuseFile(file, `was encrypted for ${field} '${shown(value)}', not for '${shown(wanted)}'`)
  }
  return Object.fromEntries(FIELDS.map((field) => [field, found[field]])) as unknown as Context
}

const shown = (text: string): string => printable(text).slice(0, 200)
