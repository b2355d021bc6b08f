/** Files of a derived model, as the engine loads them. */

import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { DATA_FILE, MODEL_FILE } from '../../engine/derived/store.ts'
import type { SharedForm } from '../../engine/launch.ts'

/** Of all of them together; a missing one counts 0. */
export async function sizeOf(files: readonly string[]): Promise<number> {
  const sizes = await Promise.all(
    files.map((file) =>
      stat(file).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  )
  return sizes.reduce((sum, size) => sum + size, 0)
}

/** A derived model as the engine loads it: only as long as its files are the ones that were checked. */
export async function formOf(folder: string): Promise<SharedForm | undefined> {
  const files = [MODEL_FILE, DATA_FILE].map((name) => join(folder, name))
  const identify = async (): Promise<string> => {
    const found = await Promise.all(files.map((file) => stat(file)))
    return found.map(({ dev, ino, size, mtimeMs }) => `${dev}:${ino}:${size}:${mtimeMs}`).join(' ')
  }
  const known = await identify().catch(() => undefined)
  if (known === undefined) return undefined
  return {
    source: join(folder, MODEL_FILE),
    isIntact: () =>
      identify().then(
        (now) => now === known,
        () => false,
      ),
  }
}
