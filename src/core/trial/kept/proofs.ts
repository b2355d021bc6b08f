/**
 * Proofs that were made before, by this server or by another process: a replacement with the same bytes, and a restart, find them. A fault of the
 * folder costs a proof, never a load.
 */

import { printable } from '../../host/printable.ts'
import { decode, encode, type KeptProof } from './entry.ts'
import { openProofFiles, type ProofFiles } from './files.ts'
import { nameOf, type ProofKey } from './key.ts'

export interface Proofs {
  /** @param warn called with the reason why an entry that is there is not used, as a sentence. Never rejects */
  find(key: ProofKey, warn: (message: string) => void): Promise<KeptProof | undefined>
  /** Never rejects. */
  keep(key: ProofKey, proof: KeptProof): Promise<void>
}

/** A measurement that a busy machine has spoiled must not decide for ever. */
const MAX_AGE_MS = 7 * 24 * 3_600_000
const MOST_IN_MEMORY = 256

interface Deps {
  readonly cacheDirectory: string | undefined
  /** Milliseconds since 1970. */
  wallNow(): number
}

export function createProofs({ cacheDirectory, wallNow }: Deps): Proofs {
  const known = new Map<string, KeptProof>()
  let opened: Promise<ProofFiles | undefined> | undefined

  const files = (): Promise<ProofFiles | undefined> => {
    opened ??= openProofFiles(cacheDirectory).catch(() => undefined)
    return opened
  }
  const isFresh = ({ at }: KeptProof): boolean => Math.abs(wallNow() - at) < MAX_AGE_MS

  function remember(name: string, proof: KeptProof): void {
    known.delete(name)
    known.set(name, proof)
    const [oldest] = known.keys()
    if (known.size > MOST_IN_MEMORY && oldest !== undefined) known.delete(oldest)
  }

  async function read(name: string, key: ProofKey): Promise<KeptProof | string | undefined> {
    try {
      const text = await (await files())?.read(name)
      return text === undefined ? undefined : decode(text, key)
    } catch (error) {
      return `cannot be read (${printable(error instanceof Error ? error.message : String(error)).slice(0, 200)})`
    }
  }

  return {
    async find(key, warn) {
      const name = nameOf(key)
      const remembered = known.get(name)
      if (remembered && isFresh(remembered)) return remembered
      const found = await read(name, key)
      if (found === undefined) return undefined
      if (typeof found === 'string') {
        warn(`the kept proof ${name} ${found}; it is not used, and will be replaced`)
        return undefined
      }
      if (!isFresh(found)) return undefined
      remember(name, found)
      return found
    },
    async keep(key, proof) {
      const name = nameOf(key)
      remember(name, proof)
      try {
        await (await files())?.write(name, encode(key, proof))
      } catch {
        // The next start proves it again.
      }
    },
  }
}
