/** New files that appear only when they are complete, and never replace existing ones. */

import { randomUUID } from 'node:crypto'
import { createWriteStream, type WriteStream } from 'node:fs'
import { link, mkdir, readdir, rename, rm, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { refusalOf } from './refusal.ts'

export interface Output {
  readonly stream: WriteStream
  /** Its temporary path. */
  readonly unfinished: string
  /** Moves the file to its destination. */
  commit(): Promise<void>
  discard(): Promise<void>
}

/** For a process on another host, it is unknown whether it still works. */
const STALE_MS = 24 * 3600 * 1000
const HOST = hostname()
  .replace(/[^A-Za-z0-9]/g, '_')
  .slice(0, 32)
/** Names the writer, so that remains of a crash can be told from work in progress. */
const UNFINISHED = /^\.(\w+)-(\d+)-[0-9a-f-]{36}\.part$/
const ours = new Set<string>()

/** @param opts.replace replace an existing file. @default it is an error */
export async function createOutput(path: string, opts: { readonly replace?: boolean } = {}): Promise<Output> {
  const unfinished = `${path}.${HOST}-${process.pid}-${randomUUID()}.part`
  await mkdir(dirname(path), { recursive: true, mode: 0o700 }).catch((error: unknown) => {
    throw refusalOf(error, path)
  })
  await sweep(path)
  ours.add(unfinished)
  const stream = createWriteStream(unfinished, { flags: 'wx', mode: 0o600 })
  // The writer sees an error of the stream. An earlier or later one must not end the process.
  stream.on('error', () => {})
  return {
    stream,
    unfinished,
    async commit() {
      try {
        if (opts.replace) await rename(unfinished, path)
        else {
          // Unlike rename, link fails if the target exists.
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
      // It may be about to create the file.
      if (!stream.closed) await new Promise<void>((resolve) => stream.once('close', resolve))
      await rm(unfinished, { force: true })
      ours.delete(unfinished)
    },
  }
}

/** Removes remains of a killed process for the same file: plain text, if it was decrypting. */
async function sweep(path: string): Promise<void> {
  for (const name of await readdir(dirname(path)).catch(() => [])) {
    const [, host, pid] = (name.startsWith(basename(path)) && UNFINISHED.exec(name.slice(basename(path).length))) || []
    const left = join(dirname(path), name)
    if (host === undefined || pid === undefined || ours.has(left)) continue
    if (host === HOST ? !isOther(Number(pid)) : await isOld(left)) await rm(left, { force: true })
  }
}

/** Whether that process exists, and is not this one. */
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
