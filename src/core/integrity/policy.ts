/** Decides which signatures allow which models, and which models never run again. */

import { readFile } from 'node:fs/promises'
import { isModelmountError, type ModelmountError } from '../errors.ts'
import { type Anchors, checkSignature, readAnchors, type Verdict } from './anchors.ts'
import { badOption, refuse } from './refusal.ts'
import type { TrustOptions } from './types.ts'

export interface Policy {
  /** @throws ModelmountError `MODEL_UNTRUSTED` if no one who may sign this model made the signature */
  check(model: string, signature: Uint8Array): Promise<Verdict>
  /** @throws ModelmountError `MODEL_UNTRUSTED` */
  refuseRevoked(manifestId: string): Promise<void>
}

const MANIFEST_ID = /^sha256:[0-9a-f]{64}$/

/** Reads all keys and certificates. @throws ModelmountError `OPTIONS_INVALID` */
export async function createPolicy({ signers, revoked = [] }: TrustOptions, nowMs: () => number): Promise<Policy> {
  const rules = await Promise.all(
    signers.map(
      async ({ models = ['*'], ...anchors }, i): Promise<{ models: readonly string[]; anchors: Anchors }> => ({
        models,
        anchors: await readAnchors(anchors, `trust.signers[${i}].`),
      }),
    ),
  )
  await revokedIds(revoked)

  return {
    async check(model, signature) {
      const applicable = rules.filter(({ models }) => models.some((glob) => matches(glob, model)))
      let refusal: ModelmountError | undefined
      for (const { anchors } of applicable) {
        try {
          return await checkSignature(signature, anchors, nowMs())
        } catch (error) {
          if (!isModelmountError(error) || error.code !== 'MODEL_UNTRUSTED') throw error
          refusal = error
        }
      }
      throw refusal ?? refuse(`no signer is trusted for model '${model}'`)
    },
    async refuseRevoked(manifestId) {
      if ((await revokedIds(revoked)).has(manifestId)) throw refuse(`${manifestId} is revoked`, { manifestId, revoked: true })
    },
  }
}

async function revokedIds(revoked: NonNullable<TrustOptions['revoked']>): Promise<ReadonlySet<string>> {
  const field = 'trust.revoked'
  const lines =
    typeof revoked === 'string'
      ? (
          await readFile(revoked, 'utf8').catch((cause: NodeJS.ErrnoException) => {
            // A missing list must not become an empty one.
            throw badOption(field, `'${revoked}' cannot be read (${cause.code})`, cause)
          })
        ).split('\n')
      : revoked
  const ids = lines.map((line) => line.replace(/#.*/, '').trim()).filter((line) => line !== '')
  const wrong = ids.find((id) => !MANIFEST_ID.test(id))
  if (wrong !== undefined)
    throw badOption(field, `must hold manifest ids (sha256: and 64 hex digits), got '${wrong.slice(0, 100)}'`)
  return new Set(ids)
}

/** `*` stands for any run of characters. The time grows in proportion to the name, whatever the pattern. */
export function matches(glob: string, name: string): boolean {
  const [head = '', ...rest] = glob.split('*')
  if (rest.length === 0) return glob === name
  const tail = rest.pop() ?? ''
  if (!name.startsWith(head) || !name.endsWith(tail) || name.length < head.length + tail.length) return false
  let at = head.length
  for (const part of rest) {
    const found = name.indexOf(part, at)
    if (found < 0) return false
    at = found + part.length
  }
  return at <= name.length - tail.length
}
