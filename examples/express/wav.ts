/** Reads WAV files: integer PCM of 8 to 32 bits and 32-bit float, any channel count mixed down to mono, at any sample rate. */

/** A file that cannot be read. The message is a sentence for its sender; `status` and `expose` are Express's convention. */
export class WavError extends Error {
  override readonly name = 'WavError'
  readonly status = 400
  readonly expose = true
}

/**
 * An open file. Samples are decoded when they are asked for, a window at a time: ten minutes of audio never block the event
 * loop and never exist a second time in memory.
 */
export interface Wav {
  readonly sampleRate: number
  readonly channels: number
  /** Samples per channel. */
  readonly frames: number
  readonly durationMs: number
  /** Mono samples in [-1, 1]; silence outside of the file. @throws WavError for a sample that is no number */
  read(start: number, count: number): Float32Array
}

type Decode = (view: DataView, offset: number) => number

const PCM = 1
const FLOAT = 3
const EXTENSIBLE = 0xfffe
/** Bytes 2 to 15 of the sub-format GUID of an extensible file; the first two are the format tag. */
const GUID_TAIL = '000000001000800000aa00389b71'
const MAX_CHANNELS = 8
const SAMPLE_RATES = { min: 1_000, max: 384_000 }

const decoders = new Map<string, Decode>([
  // 8-bit WAV is the only unsigned width.
  [`${PCM}/8`, (view, at) => (view.getUint8(at) - 128) / 0x80],
  [`${PCM}/16`, (view, at) => view.getInt16(at, true) / 0x8000],
  [`${PCM}/24`, (view, at) => ((view.getInt8(at + 2) << 16) | view.getUint16(at, true)) / 0x800000],
  [`${PCM}/32`, (view, at) => view.getInt32(at, true) / 0x80000000],
  [`${FLOAT}/32`, (view, at) => view.getFloat32(at, true)],
])

/**
 * @param bytes a whole file; the result reads from it, so it must not change
 * @param opts.maxDurationMs longest recording to accept
 * @throws WavError
 */
export function openWav(bytes: Uint8Array, opts: { readonly maxDurationMs: number }): Wav {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const { format, data } = findChunks(view)
  const { channels, sampleRate, frameBytes, decode } = readFormat(view, format)
  if (data.size % frameBytes !== 0) throw new WavError(`The data chunk has ${data.size} bytes, not a multiple of ${frameBytes}.`)
  const frames = data.size / frameBytes
  const durationMs = (frames / sampleRate) * 1000
  if (durationMs > opts.maxDurationMs) {
    throw new WavError(
      `The recording lasts ${(durationMs / 1000).toFixed(1)} s; at most ${opts.maxDurationMs / 1000} s are accepted.`,
    )
  }

  function mono(frame: number): number {
    let sum = 0
    for (let channel = 0; channel < channels; channel++) {
      sum += decode(view, data.offset + frame * frameBytes + (channel * frameBytes) / channels)
    }
    // One NaN would stay in the state of a recurrent model for the rest of the file.
    if (!Number.isFinite(sum)) throw new WavError(`Sample ${frame} is not a finite number.`)
    return Math.max(-1, Math.min(1, sum / channels))
  }

  return {
    sampleRate,
    channels,
    frames,
    durationMs,
    read(start, count) {
      const samples = new Float32Array(count)
      for (let i = Math.max(0, -start); i < count && start + i < frames; i++) samples[i] = mono(start + i)
      return samples
    },
  }
}

interface Chunk {
  readonly offset: number
  readonly size: number
}

function findChunks(view: DataView): { format: Chunk; data: Chunk } {
  if (view.byteLength < 12 || fourCC(view, 0) !== 'RIFF' || fourCC(view, 8) !== 'WAVE') {
    throw new WavError('This is not a WAV file: it does not start with RIFF … WAVE.')
  }
  let format: Chunk | undefined
  let offset = 12
  while (offset + 8 <= view.byteLength) {
    const id = fourCC(view, offset)
    const declared = view.getUint32(offset + 4, true)
    offset += 8
    // Programs that write to a pipe cannot come back to fill in the size.
    const size = id === 'data' && declared === 0xffffffff ? view.byteLength - offset : declared
    if (size > view.byteLength - offset) {
      throw new WavError(`The file is cut off: a chunk of ${size} bytes is announced, ${view.byteLength - offset} follow.`)
    }
    if (id === 'fmt ') format = { offset, size }
    if (id === 'data') {
      if (!format) throw new WavError('The data chunk comes before the fmt chunk.')
      return { format, data: { offset, size } }
    }
    offset += size + (size % 2)
  }
  throw new WavError('The file has no data chunk.')
}

function readFormat(view: DataView, { offset, size }: Chunk) {
  if (size < 16) throw new WavError(`The fmt chunk has ${size} bytes; 16 are needed.`)
  const channels = view.getUint16(offset + 2, true)
  const sampleRate = view.getUint32(offset + 4, true)
  const frameBytes = view.getUint16(offset + 12, true)
  const bits = view.getUint16(offset + 14, true)
  const tag = formatTag(view, { offset, size })
  const decode = decoders.get(`${tag}/${bits}`)
  if (!decode) {
    throw new WavError(`Format ${tag} with ${bits} bits is not supported: send PCM of 8, 16, 24 or 32 bits or 32-bit float.`)
  }
  if (channels < 1 || channels > MAX_CHANNELS)
    throw new WavError(`The file has ${channels} channels; 1 to ${MAX_CHANNELS} are supported.`)
  if (sampleRate < SAMPLE_RATES.min || sampleRate > SAMPLE_RATES.max) {
    throw new WavError(`The sample rate is ${sampleRate} Hz; ${SAMPLE_RATES.min} to ${SAMPLE_RATES.max} are supported.`)
  }
  if (frameBytes !== (channels * bits) / 8) throw new WavError(`The fmt chunk contradicts itself: ${frameBytes} bytes per frame.`)
  return { channels, sampleRate, frameBytes, decode }
}

function formatTag(view: DataView, { offset, size }: Chunk): number {
  const tag = view.getUint16(offset, true)
  if (tag !== EXTENSIBLE) return tag
  if (size < 40) throw new WavError('The extensible fmt chunk is too short.')
  let tail = ''
  for (let i = offset + 26; i < offset + 40; i++) tail += view.getUint8(i).toString(16).padStart(2, '0')
  if (tail !== GUID_TAIL) throw new WavError('The sub-format of the extensible fmt chunk is unknown.')
  return view.getUint16(offset + 24, true)
}

function fourCC(view: DataView, offset: number): string {
  return String.fromCharCode(...[0, 1, 2, 3].map((i) => view.getUint8(offset + i)))
}
