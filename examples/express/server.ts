/** Starts the example: `npm start`, then open the printed address. */

import type { AddressInfo } from 'node:net'
import { createApp } from './app.ts'
import { card } from './score.ts'

const host = process.env.HOST ?? '127.0.0.1'
const { app, server } = await createApp()

const http = app.listen(Number(process.env.PORT ?? 3000), host, (error) => {
  if (error) {
    console.error(`cannot listen: ${error.message}`)
    process.exitCode = 1
    void server.close()
    return
  }
  const url = `http://${host}:${(http.address() as AddressInfo).port}`
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`
  console.log(`
  ${url}

  Try it from the repository root:
  curl --data-binary @examples/express/speech.wav -H 'content-type: audio/wav' ${url}/speech
  curl -H 'content-type: application/json' -d '{"culmen_length_mm":46.1,"culmen_depth_mm":13.2,"flipper_length_mm":211,"body_mass_g":4500}' ${url}/score

  Penguin species: ${percent(card.test.accuracy)} right on ${card.test.rows} held-out rows; always answering the most frequent
  species would be right for ${percent(card.test.majorityBaseline)}.
`)
})

// First the door, then the models: requests that are inside get their answers.
function shutDown(): void {
  http.close(() => void server.close())
}
process.once('SIGTERM', shutDown)
process.once('SIGINT', shutDown)
