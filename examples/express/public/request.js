/** Sends a request, answers the parsed JSON and how long it took. Throws an Error with the server's own sentence. */
export async function post(url, contentType, body) {
  const started = performance.now()
  const response = await fetch(url, { method: 'POST', headers: { 'content-type': contentType }, body }).catch(() => {
    throw new Error('The server does not answer. Is it still running?')
  })
  const answer = await response.json().catch(() => ({ error: `The server answered ${response.status} without JSON.` }))
  if (!response.ok) throw new Error(answer.error)
  return { answer, ms: Math.round(performance.now() - started) }
}

/** Shows a sentence in an element with role="alert"; without one, hides it. */
export function showError(element, message = '') {
  element.textContent = message
  element.hidden = message === ''
}
