/** Parts of X.509 certificates that `node:crypto` does not expose: signature algorithm and extensions. DER as in RFC 5280. */

import { refuse } from './refusal.ts'

const SEQUENCE = 0x30
const BOOLEAN = 0x01
const INTEGER = 0x02
const BIT_STRING = 0x03
const OCTET_STRING = 0x04
const OID = 0x06
/** `[3]` in a TBSCertificate. */
const EXTENSIONS = 0xa3

export interface CertificateFacts {
  /** OID of the certificate's signature algorithm. */
  readonly algorithm: string
  /** Undefined without the extension. */
  readonly keyUsage: { readonly digitalSignature: boolean; readonly keyCertSign: boolean } | undefined
  /** Authority certificates that may stand between this one and a signer's; undefined for no bound. */
  readonly pathLength: number | undefined
  /** OIDs of all extensions, and of the critical ones. */
  readonly extensions: ReadonlySet<string>
  readonly critical: ReadonlySet<string>
}

interface Element {
  readonly tag: number
  readonly body: Uint8Array
}

const malformed = (): Error => refuse('the signature holds a certificate that is malformed')

/** @throws ModelmountError `MODEL_UNTRUSTED` unless it is a certificate as RFC 5280 defines it */
export function readCertificate(der: Uint8Array): CertificateFacts {
  const [certificate] = elements(der)
  const [tbs, algorithm] = elements(body(certificate, SEQUENCE))
  const wrapper = elements(body(tbs, SEQUENCE)).find(({ tag }) => tag === EXTENSIONS)
  const [list] = wrapper ? elements(wrapper.body) : []
  const extensions = new Map<string, { readonly isCritical: boolean; readonly value: Uint8Array }>()
  for (const extension of list ? elements(body(list, SEQUENCE)) : []) {
    const [id, ...rest] = elements(body(extension, SEQUENCE))
    const name = oid(body(id, OID))
    // RFC 5280 4.2: no extension twice. A reader that takes the first and one that takes the last would disagree.
    if (extensions.has(name)) throw malformed()
    extensions.set(name, {
      isCritical: rest.some(({ tag, body: [flag] }) => tag === BOOLEAN && flag !== 0),
      value: body(rest.at(-1), OCTET_STRING),
    })
  }
  return {
    algorithm: oid(body(elements(body(algorithm, SEQUENCE))[0], OID)),
    keyUsage: keyUsageIn(extensions.get('2.5.29.15')?.value),
    pathLength: pathLengthIn(extensions.get('2.5.29.19')?.value),
    extensions: new Set(extensions.keys()),
    critical: new Set([...extensions].filter(([, { isCritical }]) => isCritical).map(([name]) => name)),
  }
}

function keyUsageIn(extension: Uint8Array | undefined): CertificateFacts['keyUsage'] {
  if (extension === undefined) return undefined
  // The first byte counts unused bits.
  const bits = body(elements(extension)[0], BIT_STRING)[1] ?? 0
  return { digitalSignature: (bits & 0x80) !== 0, keyCertSign: (bits & 0x04) !== 0 }
}

function pathLengthIn(extension: Uint8Array | undefined): number | undefined {
  if (extension === undefined) return undefined
  const length = elements(body(elements(extension)[0], SEQUENCE)).find(({ tag }) => tag === INTEGER)
  return length?.body.reduce((value, byte) => Math.min(value * 256 + byte, 0xffff), 0)
}

function body(element: Element | undefined, tag: number): Uint8Array {
  if (element?.tag !== tag) throw malformed()
  return element.body
}

/** All elements of a constructed body. */
function elements(bytes: Uint8Array): Element[] {
  const found: Element[] = []
  let at = 0
  while (at < bytes.length) {
    const tag = bytes[at] ?? 0
    let length = bytes[at + 1] ?? Number.NaN
    at += 2
    if (length > 0x80 && length <= 0x84) {
      const count = length - 0x80
      length = bytes.subarray(at, at + count).reduce((value, byte) => value * 256 + byte, 0)
      at += count
    } else if (!(length < 0x80)) throw malformed()
    if (at + length > bytes.length) throw malformed()
    found.push({ tag, body: bytes.subarray(at, at + length) })
    at += length
  }
  return found
}

function oid(bytes: Uint8Array): string {
  const numbers: number[] = []
  let value = 0
  for (const byte of bytes) {
    value = value * 128 + (byte & 0x7f)
    if (value > Number.MAX_SAFE_INTEGER / 128) throw malformed()
    if (byte & 0x80) continue
    numbers.push(value)
    value = 0
  }
  const [first = 0, ...rest] = numbers
  const top = Math.min(Math.floor(first / 40), 2)
  return [top, first - top * 40, ...rest].join('.')
}
