/** New files that appear only when they are complete, and only where nothing was. */

import { randomUUID } from 'node:crypto'
import { createWriteStream, type WriteStream } from 'node:fs'
import { link, mkdir, readdir, rename, rm, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { refusalOf } from './refusal.ts'

export interface Output {
  readonly stream: WriteStream
  /** Where it is until then. */
  readonly unfinished: string
  /** Puts the file where it belongs. */
  commit(): Promise<void>
  discard(): Promise<void>
}

/** Of a process on another host nobody knows whether it is still at work. */
const STALE_MS = 24 * 3600 * 1000
const HOST = hostname()
  .replace(/[^A-Za-z0-9]/g, '_')
  .slice(0, 32)
/** Tells who was at work, so that what a crash leaves can be told from work in progress. */
const UNFINISHED = /^\.(\w+)-(\d+)-[0-9a-f-]{36}\.part$/
const ours = new Set<string>()

/** @param opts.replace take the place of a file that is there. @default it is an error */
export async function createOutput(path: string, opts: { readonly replace?: boolean } = {}): Promise<Output> {
  const unfinished = `${path}.${HOST}-${process.pid}-${randomUUID()}.part`
  await mkdir(dirname(path), { recursive: true, mode: 0o700 }).catch((error: unknown) => {
    throw refusalOf(error, path)
  })
  await sweep(path)
  ours.add(unfinished)
  const stream = createWriteStream(unfinished, { flags: 'wx', mode: 0o600 })
  // Whoever writes to it hears of an error; one that comes before that, or after, must not end the process.
  stream.on('error', () => {})
  return {
    stream,
    unfinished,
    async commit() {
      try {
        if (opts.replace) await rename(unfinished, path)
        else {
          // Unlike rename, link fails where something is.
          await link(unfinished, path)
          await rm(unfinished)
        }
      } catch (error) {
        await rm(unfinished, { force: true })
        throw refusalOf(error, path)
      } finally {
        ours.delete(unfinished)
      }
    },
    async discard() {
      stream.destroy()
      // It may still be about to make the file.
      if (!stream.closed) await new Promise<void>((resolve) => stream.once('close', resolve))
      await rm(unfinished, { force: true })
      ours.delete(unfinished)
    },
  }
}

/** Removes what a process that was killed has left of the same file: plain text, where it was decrypting. */
async function sweep(path: string): Promise<void> {
  for (const name of await readdir(dirname(path)).catch(() => [])) {
    const [, host, pid] = (name.startsWith(basename(path)) && UNFINISHED.exec(name.slice(basename(path).length))) || []
    const left = join(dirname(path), name)
    if (host === undefined || pid === undefined || ours.has(left)) continue
    if (host === HOST ? !isOther(Number(pid)) : await isOld(left)) await rm(left, { force: true })
  }
}

/** Whether that process is there, and is not this one. */
function isOther(pid: number): boolean {
  if (pid === process.pid) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

const isOld = (path: string): Promise<boolean> =>
  stat(path).then(
    ({ mtimeMs }) => mtimeMs < Date.now() - STALE_MS,
    () => false,
  )
