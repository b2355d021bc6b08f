/** Reads keys from a file or an environment variable, and checks the keys of any provider. */

import { readFile } from 'node:fs/promises'
import { ModelmountError } from '../errors.ts'
import type { EncryptionKey, KeyProvider } from './types.ts'

const KEY_BYTES = 32
const MAX_ID_CHARS = 128

const bad = (field: string, expected: string, got: string): ModelmountError =>
  new ModelmountError('OPTIONS_INVALID', `${field} must be ${expected}, got ${got}`, { details: { field, expected, got } })

/** @throws ModelmountError `OPTIONS_INVALID`; never with the key's bytes */
export function checkKey(given: unknown, field: string): EncryptionKey {
  const { id, key } = (typeof given === 'object' && given !== null ? given : {}) as Partial<EncryptionKey>
  if (typeof id !== 'string' || !/^[\x20-\x7e]+$/.test(id) || id.length > MAX_ID_CHARS)
    throw bad(
      `${field}.id`,
      `1 to ${MAX_ID_CHARS} printable ASCII characters`,
      typeof id === 'string' ? 'another string' : typeof id,
    )
  if (!(key instanceof Uint8Array) || key.length !== KEY_BYTES)
    throw bad(
      `${field}.key`,
      `a Uint8Array of ${KEY_BYTES} bytes`,
      key instanceof Uint8Array ? `${key.length} bytes` : typeof key,
    )
  return { id, key }
}

/**
 * Keys from JSON: `{ "current": "2026-11", "keys": { "2026-11": "<32 bytes in base64>", "2026-05": "…" } }`.
 * To rotate, add a key, name it `current`, and keep the old one until `modelmount rekey` has been run.
 * @param text the JSON
 * @param origin its name in errors
 * @throws ModelmountError `OPTIONS_INVALID`; never with the key's bytes
 */
export function keysFromJson(text: string, origin: string): KeyProvider {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    // Without the parser's words, because they quote the text.
    throw bad(origin, 'JSON { "current": id, "keys": { id: base64 } }', 'no JSON')
  }
  const { current, keys } = (typeof parsed === 'object' && parsed !== null ? parsed : {}) as { current?: unknown; keys?: unknown }
  if (typeof keys !== 'object' || keys === null || Array.isArray(keys)) throw bad(`${origin}: keys`, 'an object', typeof keys)
  const known = new Map<string, EncryptionKey>()
  for (const [id, encoded] of Object.entries(keys)) {
    const field = `${origin}: keys[${JSON.stringify(id.slice(0, MAX_ID_CHARS))}]`
    if (typeof encoded !== 'string') throw bad(field, 'a string in base64', typeof encoded)
    known.set(id, checkKey({ id, key: new Uint8Array(Buffer.from(encoded, 'base64')) }, field))
  }
  const now = typeof current === 'string' ? known.get(current) : undefined
  if (!now)
    throw bad(`${origin}: current`, 'the id of one of the keys', typeof current === 'string' ? 'another id' : typeof current)
  return { current: () => now, byId: (id) => known.get(id) }
}

/**
 * Keys from a file, see {@link keysFromJson}. The file is read once.
 * @throws ModelmountError `OPTIONS_INVALID`
 */
export async function keysFromFile(path: string | URL): Promise<KeyProvider> {
  const text = await readFile(path, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw new ModelmountError('OPTIONS_INVALID', `key file ${JSON.stringify(String(path))} cannot be read (${cause.code})`, {
      cause,
    })
  })
  return keysFromJson(text, 'key file')
}

/**
 * Keys from an environment variable, see {@link keysFromJson}.
 * @throws ModelmountError `OPTIONS_INVALID`
 */
export function keysFromEnv(name = 'MODELMOUNT_KEYS'): KeyProvider {
  const text = process.env[name]
  if (text === undefined) throw bad(`environment variable ${name}`, 'set', 'nothing')
  return keysFromJson(text, `environment variable ${name}`)
}
