/**
 * ONNX Runtime's usage reporting is off. Left on, 1.30 makes a folder under $HOME at the first session and looks up its collector's address
 * about nine seconds later; both are watched for.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import { addModel } from '../../tools/models.mjs'
import { workerPids } from '../support/children.ts'
import { LINUX } from '../support/needs.ts'

const dir = mkdtempSync(join(tmpdir(), 'telemetry-test-'))
const model = join(dir, 'add.onnx')
writeFileSync(model, addModel())
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const WATCH_S = 12

interface Host {
  readonly child: ChildProcess
  readonly home: string
}

async function start(tier: string, env: Record<string, string>): Promise<Host> {
  const home = mkdtempSync(join(dir, 'home-'))
  const script = fileURLToPath(new URL('telemetry-host.mjs', import.meta.url))
  const child = spawn(process.execPath, [script, model, tier, String(WATCH_S)], {
    // Nothing inherited: ONNX Runtime keeps quiet by itself where the environment looks like a build server's.
    env: { PATH: process.env.PATH, HOME: home, TMPDIR: home, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await new Promise((resolve, reject) => {
    child.stdout?.once('data', resolve)
    child.once('exit', () => reject(new Error('the host ended early')))
  })
  return { child, home }
}

const PROTOCOLS = ['tcp', 'tcp6', 'udp', 'udp6']

/** Inet sockets that a process holds right now. */
function inetSockets(pid: number): string[] {
  try {
    const inodes = new Set(
      readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
        try {
          return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? []
        } catch {
          return []
        }
      }),
    )
    return PROTOCOLS.flatMap((protocol) =>
      readFileSync(`/proc/${pid}/net/${protocol}`, 'latin1')
        .split('\n')
        .slice(1)
        .filter((line) => inodes.has(line.trim().split(/\s+/)[9] ?? ''))
        .map((line) => `${protocol} ${line.trim()}`),
    )
  } catch {
    return []
  }
}

describe.concurrent('ONNX Runtime telemetry', LINUX, () => {
  test('leaves traces when it is on, so that the checks below can fail', async () => {
    const { child, home } = await start('bare', {})
    try {
      await expect
        .poll(() => readdirSync(home, { recursive: true }), { timeout: 5000 })
        .toContainEqual(expect.stringContaining('onnxruntime'))
    } finally {
      // Ended before it would send anything.
      child.kill('SIGKILL')
    }
  })

  test.each(['thread', 'process'])(
    'is off in the %s tier: no file, no connection, no DNS look-up',
    { timeout: 40_000 },
    async (tier) => {
      const { child, home } = await start(tier, {})
      const sockets = new Set<string>()
      const ended = new Promise((resolve) => child.once('exit', resolve))
      const timer = setInterval(() => {
        for (const pid of [child.pid!, ...workerPids(child.pid!)]) for (const socket of inetSockets(pid)) sockets.add(socket)
      }, 20)
      await ended
      clearInterval(timer)
      expect([...sockets]).toEqual([])
      expect(
        (readdirSync(home, { recursive: true }) as string[]).filter((path) => /onnxruntime|Microsoft|mat-debug|\.ses/.test(path)),
      ).toEqual([])
    },
  )
})
