/** Closed loops of keep-alive connections, by wrk where it is on the path, and otherwise by the generator of the benches, which takes more CPU. */

import { execFile, fork, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const SCRIPT = `
local bodies, i = {}, 0
for line in io.lines(os.getenv('BODIES')) do bodies[#bodies + 1] = line end
local headers = { ['Content-Type'] = 'application/json' }
request = function()
  i = i % #bodies + 1
  return wrk.format('POST', nil, headers, bodies[i])
end
done = function(summary)
  local e = summary.errors
  print(string.format('{"answered":%d,"us":%d,"failures":%d}', summary.requests, summary.duration,
    e.connect + e.read + e.write + e.status + e.timeout))
end
`

const hasWrk = spawnSync('wrk', ['--version']).error === undefined
export const GENERATOR = hasWrk ? 'wrk, one thread' : "the benches' generator in Node (wrk is not on the path)"

/** @returns a measurement of one kind of request, `({ port, connections, ms }) => { answered, rate }` */
export function loadOf(folder, key, path, bodies) {
  if (!hasWrk) return (load) => inNode({ ...load, requests: bodies.map((body) => requestOf(path, body)) })
  const [script, lines] = [join(folder, 'wrk.lua'), join(folder, `${key}.jsonl`)]
  writeFileSync(script, SCRIPT)
  writeFileSync(lines, bodies.join('\n'))
  return async ({ port, connections, ms }) => {
    const args = ['-t1', `-c${connections}`, `-d${ms / 1000}s`, '-s', script, `http://127.0.0.1:${port}${path}`]
    const { stdout } = await promisify(execFile)('wrk', args, { env: { ...process.env, BODIES: lines } })
    const { answered, us, failures } = JSON.parse(stdout.trim().split('\n').at(-1))
    return checked({ answered, failures, rate: (answered * 1e6) / us })
  }
}

const requestOf = (path, body) =>
  Buffer.from(
    `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )

async function inNode(ask) {
  const file = fileURLToPath(new URL('../../../bench/children/load.ts', import.meta.url))
  const child = fork(file, [], { execArgv: ['--import', 'tsx'], serialization: 'advanced' })
  child.send(ask)
  const [reply] = await once(child, 'message')
  child.disconnect()
  if (reply.error) throw new Error(reply.error)
  return checked(reply.answer)
}

function checked(result) {
  if (result.failures > 0) throw new Error(`${result.failures} of ${result.answered} requests failed`)
  return result
}
