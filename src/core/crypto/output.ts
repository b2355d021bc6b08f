/** New files that appear only when they are complete, and only where nothing was. */

import { randomUUID } from 'node:crypto'
import { createWriteStream, type WriteStream } from 'node:fs'
import { link, mkdir, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { refusalOf } from './refusal.ts'

export interface Output {
  readonly stream: WriteStream
  /** Where it is until then. */
  readonly unfinished: string
  /** Puts the file where it belongs. */
  commit(): Promise<void>
  discard(): Promise<void>
}

/** @param opts.replace take the place of a file that is there. @default it is an error */
export async function createOutput(path: string, opts: { readonly replace?: boolean } = {}): Promise<Output> {
  const unfinished = `${path}.${randomUUID()}.part`
  await mkdir(dirname(path), { recursive: true, mode: 0o700 }).catch((error: unknown) => {
    throw refusalOf(error, path)
  })
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
      }
    },
    async discard() {
      stream.destroy()
      await rm(unfinished, { force: true })
    },
  }
}
