/**
 * Ends its own process in one of several ways while a native call is in flight.
 * argv: dist folder, model file, tier (thread | process), phase (load | run), ending (exit | throw | fall-off | sigterm | close | self)
 */
import { pathToFileURL } from 'node:url'

const [dist, model, isolation, phase, ending] = process.argv.slice(2)
const { createModelServer } = await import(pathToFileURL(`${dist}/index.js`).href)

const server = await createModelServer({ models: [], isolation, logger: false })
server.subscribe((event) => {
  if (phase === 'load' && event.type === 'model' && event.state === 'loading') setTimeout(end, 300)
})
const loaded = server.load({ name: 'm', source: model })

if (phase === 'run') {
  await loaded
  server.predict('m', { trips: 400_000n }, { timeoutMs: 60_000 }).then(
    () => console.log('answered'),
    (error) => console.log(error.code),
  )
  setTimeout(end, 50)
} else {
  loaded.then(
    () => console.log('loaded'),
    (error) => console.log(error.code),
  )
}

function end() {
  console.log('ending')
  if (ending === 'exit') process.exit(7)
  if (ending === 'throw') throw new Error('thrown on purpose')
  if (ending === 'sigterm') process.kill(process.pid, 'SIGTERM')
  if (ending === 'close') void server.close().then(() => console.log('closed'))
}
