/** The lowest and the highest of some numbers. */

export type Range = readonly [low: number, high: number]

type Read = (view: DataView, at: number) => number

/** By TensorProto.DataType: bytes of an element in raw data, and how to read it. Types that are left out have no range. */
const ELEMENTS: Readonly<Record<number, readonly [bytes: number, read: Read]>> = {
  1: [4, (view, at) => view.getFloat32(at, true)],
  2: [1, (view, at) => view.getUint8(at)],
  3: [1, (view, at) => view.getInt8(at)],
  4: [2, (view, at) => view.getUint16(at, true)],
  5: [2, (view, at) => view.getInt16(at, true)],
  6: [4, (view, at) => view.getInt32(at, true)],
  7: [8, (view, at) => Number(view.getBigInt64(at, true))],
  9: [1, (view, at) => view.getUint8(at)],
  11: [8, (view, at) => view.getFloat64(at, true)],
  12: [4, (view, at) => view.getUint32(at, true)],
  13: [8, (view, at) => Number(view.getBigUint64(at, true))],
}

/** Range of a tensor's raw data; `undefined` for other types, for no data, and if a number is not finite. */
export function tensorRange(raw: Uint8Array, type: number): Range | undefined {
  const element = ELEMENTS[type]
  if (!element) return undefined
  const [bytes, read] = element
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength)
  return rangeOf(Array.from({ length: Math.floor(raw.byteLength / bytes) }, (_, i) => read(view, i * bytes)))
}

export function rangeOf(numbers: readonly number[]): Range | undefined {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  for (const number of numbers) {
    if (!Number.isFinite(number)) return undefined
    low = Math.min(low, number)
    high = Math.max(high, number)
  }
  return low <= high ? [low, high] : undefined
}
