/**
 * Sample rate conversion with a windowed sinc. The cut-off follows the lower of the two rates, so that nothing above the new
 * Nyquist frequency folds back into the speech band. https://ccrma.stanford.edu/~jos/resample/
 */

import type { Wav } from './wav.ts'

/** Zero crossings of the sinc on either side: about 32 multiplications per sample of the higher rate. */
const CROSSINGS = 16
const STEPS_PER_CROSSING = 256
/** Speech needs no brick wall; a cut-off a little below Nyquist leaves room for the filter's slope. */
const CUTOFF = 0.94

const kernel = Float64Array.from({ length: CROSSINGS * STEPS_PER_CROSSING + 2 }, (_, i) => {
  const x = i / STEPS_PER_CROSSING
  if (x >= CROSSINGS) return 0
  const hann = 0.5 + 0.5 * Math.cos((Math.PI * x) / CROSSINGS)
  return x === 0 ? 1 : (hann * Math.sin(Math.PI * x)) / (Math.PI * x)
})

/** A view of a file at another sample rate. `read` has random access, like that of the file. */
export interface Resampled {
  readonly sampleRate: number
  readonly frames: number
  read(start: number, count: number): Float32Array
}

export function resample(wav: Wav, sampleRate: number): Resampled {
  if (wav.sampleRate === sampleRate) return wav
  const ratio = wav.sampleRate / sampleRate
  const scale = CUTOFF * Math.min(1, 1 / ratio)
  const reach = Math.ceil(CROSSINGS / scale)

  function read(start: number, count: number): Float32Array {
    const first = Math.floor(start * ratio) - reach
    const source = wav.read(first, Math.ceil(count * ratio) + 2 * reach + 2)
    const out = new Float32Array(count)
    for (let i = 0; i < count; i++) {
      const centre = (start + i) * ratio - first
      let sum = 0
      for (let j = Math.ceil(centre - reach); j <= centre + reach; j++)
        sum += (source[j] ?? 0) * kernelAt(Math.abs(j - centre) * scale)
      out[i] = sum * scale
    }
    return out
  }

  return { sampleRate, frames: Math.ceil(wav.frames / ratio), read }
}

function kernelAt(x: number): number {
  if (x >= CROSSINGS) return 0
  const at = x * STEPS_PER_CROSSING
  const below = Math.floor(at)
  const a = kernel[below] ?? 0
  return a + ((kernel[below + 1] ?? 0) - a) * (at - below)
}
