/** Names in a model's file: ONNX Runtime prints them raw, and programs use them as keys. */

import { MAX_NAME_BYTES, type Reader, type Reading } from '../wire.ts'
import type { ScanFindingId } from './findings.ts'

/** Records names and their faults. */
interface NameWatch {
  find(id: ScanFindingId, message: string): void
  name(what: string, text: string): void
}

/** Characters that move a cursor, start a line, or reorder text. Joiners are left alone: words of some languages need them. */
const UNSAFE = /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/u
/** Assigning to this key of a plain object sets its prototype. */
const PROTOTYPE = '__proto__'

const decoder = new TextDecoder('utf-8', { ignoreBOM: true, fatal: true })

export function nameFault(text: string): { readonly id: ScanFindingId; readonly message: string } | undefined {
  if (text === PROTOTYPE) return { id: 'name-prototype', message: 'is a key that JavaScript objects keep for themselves' }
  if (UNSAFE.test(text)) return { id: 'name-characters', message: 'holds control characters' }
  return undefined
}

/** Checks a name that has no other reader. Nothing of it is kept. */
export function* watchName(reader: Reader, watch: NameWatch, what: string): Reading<void> {
  const bytes = yield* reader.peek(MAX_NAME_BYTES)
  if (bytes === undefined) {
    watch.find('name-length', `${what} is ${reader.length()} bytes long, more than ${MAX_NAME_BYTES}`)
    return
  }
  if (isPlain(bytes)) return
  const text = decoded(bytes)
  if (text === undefined) watch.find('name-characters', `${what} is not valid UTF-8`)
  else watch.name(what, text)
}

/** Nearly all names: printable ASCII that does not start like the prototype's. */
function isPlain(bytes: Uint8Array): boolean {
  if (bytes[0] === 0x5f && bytes[1] === 0x5f) return false
  for (const byte of bytes) if (byte < 0x20 || byte > 0x7e) return false
  return true
}

function decoded(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes)
  } catch {
    return undefined
  }
}
