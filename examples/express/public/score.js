import { post, showError } from './request.js'

const byId = (id) => document.getElementById(id)
const percent = (share) => `${(100 * share).toFixed(1)} %`

const card = await (await fetch('/score/schema')).json()
const body = Object.fromEntries(card.features.map(({ name, mean }) => [name, mean]))
const bars = new Map(card.classes.map((name) => [name, bar(name)]))
let busy = false
let stale = false

byId('features').append(...card.features.map(slider))
byId('bars').append(...[...bars.values()].map(({ row }) => row))
byId('quality').textContent =
  `Measured on ${card.test.rows} penguins that the training did not see: ${percent(card.test.accuracy)} right. ` +
  `Always answering the most frequent species would be right for ${percent(card.test.majorityBaseline)}.`
void update()

/** One request at a time; while it runs, only the last position of the sliders is remembered. */
async function update() {
  if (busy) {
    stale = true
    return
  }
  busy = true
  do {
    stale = false
    await ask()
  } while (stale)
  busy = false
}

async function ask() {
  try {
    const request = JSON.stringify(body)
    const { answer, ms } = await post('/score', 'application/json', request)
    showError(byId('score-error'))
    byId('verdict').textContent = answer.label
    for (const [name, share] of Object.entries(answer.probabilities)) bars.get(name).set(share)
    byId('score-status').textContent = `Answered in ${ms} ms.`
    byId('score-json').textContent = `${request}\n\n${JSON.stringify(answer, null, 2)}`
  } catch (cause) {
    showError(byId('score-error'), cause.message)
  }
}

function slider({ name, label, unit, step, min, max }) {
  const input = Object.assign(document.createElement('input'), { type: 'range', id: name, min, max, step, value: body[name] })
  const value = document.createElement('output')
  const text = Object.assign(document.createElement('label'), { htmlFor: name, textContent: label })
  const show = () => {
    body[name] = input.valueAsNumber
    value.textContent = `${body[name]} ${unit}`
    input.setAttribute('aria-valuetext', value.textContent)
  }
  input.addEventListener('input', () => {
    show()
    void update()
  })
  show()
  const row = Object.assign(document.createElement('div'), { className: 'feature' })
  row.append(text, value, input)
  return row
}

function bar(name) {
  const row = Object.assign(document.createElement('div'), { className: 'bar' })
  const text = Object.assign(document.createElement('span'), { textContent: name })
  const track = Object.assign(document.createElement('div'), { className: 'track' })
  const fill = Object.assign(document.createElement('div'), { className: 'fill' })
  const value = document.createElement('output')
  track.append(fill)
  row.append(text, track, value)
  return {
    row,
    set(share) {
      fill.style.width = percent(share).replace(' ', '')
      value.textContent = percent(share)
    },
  }
}
