const RATE = 16_000

/** Any audio that the browser can play, as mono samples at 16 kHz. */
export async function decode(bytes) {
  // An offline context resamples while decoding and needs no click beforehand. It takes the buffer away, hence the copy.
  const audio = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(bytes.slice(0))
  const samples = new Float32Array(audio.length)
  for (let channel = 0; channel < audio.numberOfChannels; channel++) {
    const from = audio.getChannelData(channel)
    for (let i = 0; i < samples.length; i++) samples[i] += from[i] / audio.numberOfChannels
  }
  return samples
}

/** A WAV file of 16-bit PCM, mono, 16 kHz. */
export function encode(samples) {
  const view = new DataView(new ArrayBuffer(44 + samples.length * 2))
  const text = (at, value) => [...value].forEach((char, i) => void view.setUint8(at + i, char.charCodeAt(0)))
  text(0, 'RIFF')
  view.setUint32(4, 36 + samples.length * 2, true)
  text(8, 'WAVEfmt ')
  view.setUint32(16, 16, true)
  view.setUint16(20, 1, true)
  view.setUint16(22, 1, true)
  view.setUint32(24, RATE, true)
  view.setUint32(28, RATE * 2, true)
  view.setUint16(32, 2, true)
  view.setUint16(34, 16, true)
  text(36, 'data')
  view.setUint32(40, samples.length * 2, true)
  for (const [i, sample] of samples.entries()) view.setInt16(44 + i * 2, Math.max(-1, Math.min(1, sample)) * 0x7fff, true)
  return view.buffer
}

/** Draws the waveform, the segments over it and a time axis under it. */
export function draw(canvas, samples, { durationMs = (samples.length / RATE) * 1000, segments = [] } = {}) {
  const { clientWidth: width, clientHeight: height } = canvas
  const scale = window.devicePixelRatio
  canvas.width = width * scale
  canvas.height = height * scale
  const pen = canvas.getContext('2d')
  pen.scale(scale, scale)
  const style = getComputedStyle(canvas)
  const colour = (name) => style.getPropertyValue(name)
  const axis = height - 24
  const x = (ms) => (durationMs === 0 ? 0 : (ms / durationMs) * width)

  pen.font = `12px ${style.fontFamily}`
  drawAxis()
  for (const segment of segments) drawSegment(segment)
  if (samples.length > 0) drawWave()

  function drawAxis() {
    const step = [100, 250, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000, 120_000].find((ms) => x(ms) >= 56) ?? 300_000
    pen.fillStyle = pen.strokeStyle = colour('--line')
    pen.fillRect(0, axis, width, 1)
    for (let ms = 0; ms <= durationMs; ms += step) {
      pen.fillStyle = colour('--line')
      pen.fillRect(Math.round(x(ms)), axis, 1, 5)
      pen.fillStyle = colour('--soft')
      const label = `${ms / 1000} s`
      const room = width - pen.measureText(label).width - 3
      pen.fillText(label, Math.min(x(ms) + 4, room), axis + 17)
    }
  }

  function drawSegment({ startMs, endMs }) {
    pen.fillStyle = colour('--speech')
    pen.fillRect(x(startMs), 0, x(endMs) - x(startMs), axis)
    pen.fillStyle = colour('--accent')
    pen.fillRect(x(startMs), 0, x(endMs) - x(startMs), 3)
    const label = `${seconds(startMs)} – ${seconds(endMs)} s`
    if (pen.measureText(label).width + 12 < x(endMs) - x(startMs)) pen.fillText(label, x(startMs) + 6, 19)
  }

  function drawWave() {
    const middle = axis / 2 + 8
    const reach = middle - 28
    // Quiet recordings are drawn larger, but silence stays a line.
    const top = Math.max(
      0.05,
      samples.reduce((peak, sample) => Math.max(peak, Math.abs(sample)), 0),
    )
    for (let column = 0; column < width; column++) {
      const from = Math.floor((column / width) * samples.length)
      const to = Math.max(from + 1, Math.floor(((column + 1) / width) * samples.length))
      let [low, high] = [0, 0]
      for (let i = from; i < to; i++) {
        low = Math.min(low, samples[i] ?? 0)
        high = Math.max(high, samples[i] ?? 0)
      }
      const ms = (column / width) * durationMs
      pen.fillStyle = colour(segments.some(({ startMs, endMs }) => ms >= startMs && ms <= endMs) ? '--accent' : '--wave')
      const size = Math.max(1, ((high - low) / top) * reach)
      pen.fillRect(column, middle - (high / top) * reach, 1, size)
    }
  }
}

export const seconds = (ms) => (ms / 1000).toFixed(2)
