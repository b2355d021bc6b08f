/** Writes DER, as far as certificates need it: ITU-T X.690. */

export function primitive(tag: number, body: Uint8Array): Buffer {
  const { length } = body
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.of(tag, ...size), body])
}

export const constructed = (tag: number, ...parts: readonly Uint8Array[]): Buffer => primitive(tag, Buffer.concat(parts))
export const sequence = (...parts: readonly Uint8Array[]): Buffer => constructed(0x30, ...parts)
export const boolean = (value: boolean): Buffer => primitive(0x01, Buffer.of(value ? 0xff : 0))
/** @param bytes big-endian, the first below 0x80 */
export const integer = (bytes: Uint8Array): Buffer => primitive(0x02, bytes)
export const bits = (bytes: Uint8Array, unused: number): Buffer => primitive(0x03, Buffer.concat([Buffer.of(unused), bytes]))
export const octets = (bytes: Uint8Array): Buffer => primitive(0x04, bytes)
export const utf8 = (text: string | Uint8Array): Buffer => primitive(0x0c, typeof text === 'string' ? Buffer.from(text) : text)
const digits = (at: Date): string => `${at.toISOString().replace(/[-:T]/g, '').slice(0, 14)}Z`
/** UTCTime, whose years go to 2049. */
export const time = (at: Date): Buffer => primitive(0x17, Buffer.from(digits(at).slice(2)))
export const generalizedTime = (at: Date): Buffer => primitive(0x18, Buffer.from(digits(at)))

export function oid(dotted: string): Buffer {
  const [top = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  return primitive(0x06, Buffer.from([top * 40 + second, ...rest].flatMap(base128)))
}

function base128(value: number): number[] {
  const digits = [value & 0x7f]
  for (let left = value >> 7; left > 0; left >>= 7) digits.unshift(0x80 | (left & 0x7f))
  return digits
}

export const extension = (id: string, value: Uint8Array, { isCritical = false } = {}): Buffer =>
  sequence(oid(id), ...(isCritical ? [boolean(true)] : []), octets(value))

export const pem = (certificate: Uint8Array): string =>
  `-----BEGIN CERTIFICATE-----\n${Buffer.from(certificate).toString('base64').replace(/.{64}/g, '$&\n')}\n-----END CERTIFICATE-----\n`
