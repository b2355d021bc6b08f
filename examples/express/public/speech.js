import { post, showError } from './request.js'
import { decode, draw, encode, seconds } from './wave.js'

const MAX_RECORDING_MS = 60_000
const NOTHING = new Float32Array()

const byId = (id) => document.getElementById(id)
const [canvas, player, status, error, record] = ['wave', 'player', 'speech-status', 'speech-error', 'record'].map(byId)
let shown = { samples: NOTHING, speech: undefined }

byId('sample').addEventListener('click', () => attempt(async () => analyse(await (await fetch('/speech.wav')).arrayBuffer())))
byId('file').addEventListener('change', ({ target }) => {
  const [file] = target.files
  target.value = '' // so that choosing the same file again counts as a change
  if (file) void attempt(async () => analyse(await file.arrayBuffer()))
})
record.addEventListener('click', () => (recorder ? recorder.stop() : attempt(startRecording)))
new ResizeObserver(redraw).observe(canvas)
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw)
if (location.hash === '#demo') byId('sample').click()

/** Sends WAV files as they are; whatever else the browser can play is turned into WAV here. */
async function analyse(bytes) {
  show(NOTHING, undefined)
  player.hidden = true
  const samples = await decode(bytes).catch(() => undefined)
  const isWav = String.fromCharCode(...new Uint8Array(bytes, 0, Math.min(4, bytes.byteLength))) === 'RIFF'
  if (!samples && !isWav) throw new Error('This browser cannot read the file as audio.')
  const wav = isWav ? bytes : encode(samples)

  show(samples ?? NOTHING, undefined)
  if (player.src) URL.revokeObjectURL(player.src)
  player.src = URL.createObjectURL(new Blob([wav], { type: 'audio/wav' }))
  player.hidden = !samples
  status.textContent = 'Listening…'
  const { answer, ms } = await post('/speech', 'audio/wav', wav)
  show(samples ?? NOTHING, answer)

  const count = `${answer.segments.length} ${answer.segments.length === 1 ? 'segment' : 'segments'}`
  const share = `${Math.round(100 * answer.speechRatio)} % of ${seconds(answer.durationMs)} s is speech`
  status.textContent = `${count}, ${share}. ${answer.frames} model runs, answered in ${ms} ms.`
}

function show(samples, speech) {
  shown = { samples, speech }
  redraw()
  const segments = speech?.segments ?? []
  const spoken = segments.map(({ startMs, endMs }) => `${seconds(startMs)} to ${seconds(endMs)} s`)
  canvas.setAttribute('aria-label', speech ? `Waveform. Speech: ${spoken.join(', ') || 'none found'}` : 'Waveform')
  byId('segments').replaceChildren(...segments.map(segmentItem))
  byId('speech-json').textContent = speech ? JSON.stringify(speech, null, 2) : 'nothing yet'
}

function segmentItem({ startMs, endMs }) {
  const button = document.createElement('button')
  button.type = 'button'
  button.textContent = `▶ ${seconds(startMs)} – ${seconds(endMs)} s`
  button.addEventListener('click', () => {
    player.currentTime = startMs / 1000
    player.ontimeupdate = () => player.currentTime >= endMs / 1000 && player.pause()
    player.onpause = () => {
      player.ontimeupdate = null
    }
    player.play()
  })
  const item = document.createElement('li')
  item.append(button)
  return item
}

function redraw() {
  draw(canvas, shown.samples, shown.speech)
}

let recorder

async function startRecording() {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true })
  const parts = []
  recorder = new MediaRecorder(stream)
  recorder.addEventListener('dataavailable', ({ data }) => parts.push(data))
  recorder.addEventListener('stop', () => {
    for (const track of stream.getTracks()) track.stop()
    clearTimeout(limit)
    recorder = undefined
    recording(false)
    void attempt(async () => analyse(await new Blob(parts).arrayBuffer()))
  })
  const limit = setTimeout(() => recorder?.stop(), MAX_RECORDING_MS)
  recorder.start()
  recording(true)
}

function recording(on) {
  record.setAttribute('aria-pressed', String(on))
  record.textContent = on ? 'Stop recording' : 'Record'
  status.textContent = on ? 'Recording… speak now.' : ''
}

async function attempt(action) {
  showError(error)
  try {
    await action()
  } catch (cause) {
    const refused = cause instanceof DOMException && cause.name === 'NotAllowedError'
    showError(error, refused ? 'The browser did not allow the microphone.' : cause.message)
    status.textContent = ''
  }
}
