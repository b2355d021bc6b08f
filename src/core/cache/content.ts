/** What a model file is, rather than what it is called: processes that share results must have loaded the same bytes. */

import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'

/**
 * @param files paths, in a fixed order, or the bytes themselves
 * @param settings whatever else may change a result
 * @returns a SHA-256 over the hashes of all of them
 */
export async function contentId(files: readonly (string | Uint8Array)[], settings: unknown): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify(settings)).update('\n')
  for (const file of files) hash.update(await digestOf(file))
  return hash.digest('base64url')
}

async function digestOf(file: string | Uint8Array): Promise<Buffer> {
  const hash = createHash('sha256')
  if (typeof file !== 'string') return hash.update(file).digest()
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer)
  return hash.digest()
}
