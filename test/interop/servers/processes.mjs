/** Servers in processes of their own, and what they and their children use. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const TICKS_PER_S = 100
const START_MS = 90_000

/** A port that was free just now. */
async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address()
  probe.close()
  await once(probe, 'close')
  return port
}

function statOf(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return { pid, parent: Number(fields[1]), ticks: Number(fields[11]) + Number(fields[12]) }
  } catch {
    // It has ended since the list was read.
    return undefined
  }
}

/** A process and all below it. */
function treeOf(root) {
  const all = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => statOf(Number(name)) ?? [])
  const found = all.filter(({ pid }) => pid === root)
  for (const { pid } of found) found.push(...all.filter(({ parent }) => parent === pid))
  return found
}

const end = (pid, signal) => {
  try {
    process.kill(pid, signal)
  } catch {
    // It has ended by itself.
  }
}

/**
 * @param command from a port to a command line
 * @param ask resolves once the server answers
 */
export async function startServer(command, ask) {
  const port = await freePort()
  const { command: file, args, env = {} } = command(port)
  const child = spawn(file, args, {
    cwd: fileURLToPath(new URL('.', import.meta.url)),
    env: { ...process.env, NODE_ENV: 'production', ORT_DISABLE_TELEMETRY: '1', ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  child.stderr.on('data', (text) => {
    said = `${said}${text}`.slice(-2000)
  })
  const exited = once(child, 'exit')
  const server = {
    port,
    cpuMs: () => treeOf(child.pid).reduce((sum, { ticks }) => sum + (ticks * 1000) / TICKS_PER_S, 0),
    async stop() {
      const tree = treeOf(child.pid)
      end(child.pid, 'SIGTERM')
      await Promise.race([exited, sleep(10_000)])
      for (const { pid } of tree) end(pid, 'SIGKILL')
    },
  }
  const until = performance.now() + START_MS
  for (;;) {
    const error = await ask(port).then(
      () => undefined,
      (error) => error,
    )
    if (!error) return server
    if (child.exitCode !== null || performance.now() > until) {
      await server.stop()
      throw new Error(`does not answer: ${error.message}\n${said.trim()}`)
    }
    await sleep(200)
  }
}
