/** Keyless signatures: by an identity that was proved to an authority, for minutes, and logged in public. */

import { spawnSync } from 'node:child_process'
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { signModel, verifyModel } from 'modelmount'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import {
  authority,
  type Certified,
  certify,
  type Envelope,
  log,
  logEntry,
  trustedRoot,
  type Wish,
} from '../../support/sigstore.ts'
import { type Clock, clock, timestamp } from '../../support/timestamps.ts'

const all = () => ({ authority: authority(), certificates: log(), signatures: log(), clock: clock() })
const [ours, strange] = [all(), all()]

const CLI = fileURLToPath(new URL('../../../dist/cli.js', import.meta.url))

const identity = 'release@example.com'
const issuer = 'https://accounts.example.com'
const workflow = 'https://github.com/example/models/.github/workflows/release.yml@refs/heads/main'
/** Long gone, like every certificate of this kind when its model is loaded. */
const from = new Date('2025-03-01T12:00:00Z')
const minutesIn = (minutes: number): Date => new Date(from.getTime() + minutes * 60_000)
const valid = { by: ours.authority, loggedBy: ours.certificates, identity, issuer, from, to: minutesIn(10) }

let model: string
let root: string

beforeEach(() => {
  const dir = mkdtempSync(join(tmpdir(), 'keyless-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  model = join(dir, 'model')
  mkdirSync(model)
  writeFileSync(join(model, 'model.onnx'), 'x')
  writeFileSync(join(model, 'model.onnx.data'), 'y')
  root = join(dir, 'trusted_root.json')
  writeFileSync(root, JSON.stringify(trustedRoot(ours)))
})

interface Signed {
  readonly mediaType: string
  readonly verificationMaterial: {
    certificate: { rawBytes: string }
    tlogEntries: Record<string, unknown>[]
    timestampVerificationData?: object
  }
  readonly dsseEnvelope: Envelope & { payload: string; signatures: { sig: string }[] }
}

/** As `signModel()` signs with a key, with the certificate of that key and the log's entry in place of it. */
async function signed(
  wish: Partial<Wish> = {},
  entry: Partial<Parameters<typeof logEntry>[2]> = {},
): Promise<[Signed, Certified]> {
  const by = certify({ ...valid, ...wish })
  const { signature } = await signModel(model, { privateKey: by.privateKey })
  const bundle = JSON.parse(Buffer.from(signature).toString())
  const logged = logEntry(bundle.dsseEnvelope, by, { log: ours.signatures, at: minutesIn(1), ...entry })
  bundle.verificationMaterial = { certificate: { rawBytes: by.certificate.toString('base64') }, tlogEntries: [logged] }
  return [bundle, by]
}

/** As a log of the newer kind has it: it says nothing of the time, an authority does. */
async function timed(by: Clock, at: Date, what?: Uint8Array): Promise<Signed> {
  const [bundle] = await signed({}, { at: undefined })
  const signedTimestamp = timestamp(by, what ?? Buffer.from(bundle.dsseEnvelope.signatures[0]!.sig, 'base64'), at)
  const timestampVerificationData = { rfc3161Timestamps: [{ signedTimestamp: signedTimestamp.toString('base64') }] }
  return { ...bundle, verificationMaterial: { ...bundle.verificationMaterial, timestampVerificationData } }
}

const verify = (bundle: Signed, trust: object = {}) =>
  verifyModel(model, {
    signature: Buffer.from(JSON.stringify(bundle)),
    keyless: { identity, issuer, trustedRoot: root, ...trust },
  })
const refused = (why: string) => ({ code: 'MODEL_UNTRUSTED', message: expect.stringContaining(why) })
const because = (why: string) => refused(`the keyless signature does not verify: ${why}`)

describe('a keyless signature', () => {
  test.each([
    ['an e-mail address', identity, issuer],
    ['a URI', workflow, 'https://token.actions.githubusercontent.com'],
  ])('by %s verifies long after its certificate has expired, and says who it was', async (_, who, vouching) => {
    const [bundle] = await signed({ identity: who, issuer: vouching })
    const verified = await verify(bundle, { identity: who, issuer: vouching, trustedRoot: pathToFileURL(root) })
    expect(verified.signer).toEqual({ method: 'keyless', identity: who, issuer: vouching })
    expect([...verified.files.keys()]).toEqual(['model.onnx', 'model.onnx.data'])
  })

  test('in a log that says nothing of the time, with the word of a timestamp authority for it', async () => {
    const { signer } = await verify(await timed(ours.clock, minutesIn(1)))
    expect(signer).toEqual({ method: 'keyless', identity, issuer })
  })

  test('may name its issuer the older way, but the newer one counts', async () => {
    const [older] = await signed({ issuer: undefined, olderIssuer: issuer })
    expect((await verify(older)).signer).toEqual({ method: 'keyless', identity, issuer })
    const [both] = await signed({ issuer: 'https://else.example.com', olderIssuer: issuer })
    await expect(verify(both)).rejects.toMatchObject(refused("vouched for by 'https://else.example.com'"))
  })

  test.each([
    ['another', 'else@example.com'],
    ['in other letters', 'Release@example.com'],
    ['a beginning of it', 'release@example'],
    ['more than it', 'release@example.com.'],
    ['a pattern that fits it', '^release@.*$'],
    ['any', '.*'],
    ['none', ''],
  ])('by an identity is not trusted as one by %s', async (_, other) => {
    const [bundle] = await signed()
    await expect(verify(bundle, { identity: other })).rejects.toMatchObject(
      refused(`the model was signed by '${identity}', not by '${other}'`),
    )
  })

  test.each(['release@example.com.evil.org', 'not-release@example.com', 'release@example-com', 'release@exampleXcom'])(
    'by %s, which fits the trusted identity as a pattern or holds it',
    async (other) => {
      const [bundle] = await signed({ identity: other })
      await expect(verify(bundle)).rejects.toMatchObject(refused(`signed by '${other}', not by '${identity}'`))
    },
  )

  test.each(['https://accounts.example.com/', 'https://accounts.example', 'https://accounts.*', ''])(
    'vouched for by another issuer than the trusted %j',
    async (other) => {
      const [bundle] = await signed()
      await expect(verify(bundle, { issuer: other })).rejects.toMatchObject(
        refused(`'${identity}' was vouched for by '${issuer}', not by '${other}'`),
      )
    },
  )

  test.each([
    ['nobody', { identity: undefined }, { identity: '' }],
    ['somebody, vouched for by nobody', { issuer: undefined }, { issuer: '' }],
  ])('by %s is not trusted where an empty name is', async (_, wish, trust) => {
    const [bundle] = await signed(wish)
    await expect(verify(bundle, trust)).rejects.toMatchObject(refused('does not name who has signed, or who vouched'))
  })

  test('by bytes that are the trusted identity, or issuer, only with their eighth bit dropped', async () => {
    for (const wish of [{ identity: eighthBitsSet(identity) }, { issuer: eighthBitsSet(issuer) }]) {
      const [bundle] = await signed(wish)
      await expect(verify(bundle)).rejects.toMatchObject(refused('only looks as if'))
    }
  })

  const forged: Readonly<Record<string, readonly [() => Promise<Signed>, string]>> = {
    'by a certificate of another authority': [
      async () => (await signed({ by: strange.authority }))[0],
      'Failed to verify certificate chain',
    ],
    'by a certificate that had expired when it was logged': [
      async () => (await signed({}, { at: minutesIn(11) }))[0],
      'Failed to verify certificate chain',
    ],
    'logged before its certificate was valid': [
      async () => (await signed({}, { at: minutesIn(-1) }))[0],
      'Failed to verify certificate chain',
    ],
    'by a certificate that no log of certificates knows': [
      async () => (await signed({ loggedBy: undefined }))[0],
      'expected 1 SCTs, got 0',
    ],
    'by a certificate that only a strange log of certificates knows': [
      async () => (await signed({ loggedBy: strange.certificates }))[0],
      'SCT verification failed',
    ],
    'by a certificate whose log has only borrowed its name': [
      async () => (await signed({ loggedBy: { ...strange.certificates, id: ours.certificates.id } }))[0],
      'SCT verification failed',
    ],
    'that was never logged': [
      async () => {
        const [bundle] = await signed()
        bundle.verificationMaterial.tlogEntries = []
        return bundle
      },
      'expected 1 timestamps, got 0',
    ],
    'without the log’s word for the time': [
      async () => {
        const [bundle] = await signed()
        delete bundle.verificationMaterial.tlogEntries[0]!.inclusionPromise
        return bundle
      },
      'expected 1 timestamps, got 0',
    ],
    'with a time that the log did not say': [
      async () => {
        const [bundle] = await signed()
        bundle.verificationMaterial.tlogEntries[0]!.integratedTime = String(minutesIn(2).getTime() / 1000)
        return bundle
      },
      'inclusion promise could not be verified',
    ],
    'in a strange log': [
      async () => (await signed({}, { log: strange.signatures }))[0],
      'inclusion promise could not be verified',
    ],
    'in a strange log under the name of a known one': [
      async () => (await signed({}, { log: { ...strange.signatures, id: ours.signatures.id } }))[0],
      'inclusion promise could not be verified',
    ],
    'in a tree whose root only a strange log has signed': [
      async () => (await signed({}, { checkpointBy: strange.signatures }))[0],
      'invalid checkpoint signature',
    ],
    'with the log’s entry of another signature': [
      async () => {
        const [[bundle], [other]] = [await signed(), await signed()]
        bundle.verificationMaterial.tlogEntries = other.verificationMaterial.tlogEntries
        return bundle
      },
      'tlog entry signature mismatch',
    ],
    'with the certificate of another': [
      async () => {
        const [[bundle], [other]] = [await signed(), await signed()]
        bundle.verificationMaterial.certificate = other.verificationMaterial.certificate
        return bundle
      },
      'signature verification failed',
    ],
    'that an authority has put a time to, and nobody has logged': [
      async () => {
        const bundle = await timed(ours.clock, minutesIn(1))
        bundle.verificationMaterial.tlogEntries = []
        return bundle
      },
      'expected 1 tlog entries, got 0',
    ],
    'whose time a strange authority says': [() => timed(strange.clock, minutesIn(1)), 'timestamp could not be verified'],
    'with the time of another signature': [
      () => timed(ours.clock, minutesIn(1), Buffer.from('another')),
      'timestamp could not be verified',
    ],
    'at a time when its certificate had expired, by a timestamp authority': [
      () => timed(ours.clock, minutesIn(11)),
      'Failed to verify certificate chain',
    ],
    'with a byte of the statement changed': [
      async () => {
        const [bundle] = await signed()
        bundle.dsseEnvelope.payload = changedByte(bundle.dsseEnvelope.payload)
        return bundle
      },
      'DSSE payload hash mismatch',
    ],
    'with a byte of the statement changed, and logged so': [
      async () => {
        const [bundle, by] = await signed()
        bundle.dsseEnvelope.payload = changedByte(bundle.dsseEnvelope.payload)
        return loggedAgain(bundle, by)
      },
      'signature verification failed',
    ],
    'with a byte of the signature changed': [
      async () => {
        const [bundle] = await signed()
        bundle.dsseEnvelope.signatures[0]!.sig = changedByte(bundle.dsseEnvelope.signatures[0]!.sig)
        return bundle
      },
      'tlog entry signature mismatch',
    ],
    'with a byte of the signature changed, and logged so': [
      async () => {
        const [bundle, by] = await signed()
        bundle.dsseEnvelope.signatures[0]!.sig = changedByte(bundle.dsseEnvelope.signatures[0]!.sig)
        return loggedAgain(bundle, by)
      },
      'signature verification failed',
    ],
  }
  test.each(Object.entries(forged))('%s', async (_, [make, why]) => {
    await expect(verify(await make())).rejects.toMatchObject(because(why))
  })

  test('cannot write lines of its own into a log', async () => {
    const [{ verificationMaterial, ...rest }] = await signed()
    const kindVersion = { kind: `dsse\n${'verified '.repeat(1000)}`, version: '0.0.1' }
    const tlogEntries = verificationMaterial.tlogEntries.map((entry) => ({ ...entry, kindVersion }))
    const forgery = verify({ ...rest, verificationMaterial: { ...verificationMaterial, tlogEntries } })
    await expect(forgery).rejects.toMatchObject(because('kind/version mismatch - expected: dsse'))
    await expect(forgery).rejects.toThrow(/^[^\n]{1,400}$/)
    const [bundle] = await signed({ identity: Buffer.from('else\nverified') })
    await expect(verify(bundle)).rejects.toThrow(/^the model was signed by 'else[^\n]+verified', not by/)
  })

  test('of a model whose files have changed since', async () => {
    const [bundle] = await signed()
    appendFileSync(join(model, 'model.onnx.data'), 'z')
    await expect(verify(bundle)).rejects.toMatchObject(refused("files have changed: 'model.onnx.data'"))
    writeFileSync(join(model, 'more.onnx'), 'z')
    await expect(verify(bundle)).rejects.toMatchObject(refused("files that were not signed: 'more.onnx'"))
  })

  test('from the command line', async () => {
    const [bundle] = await signed()
    writeFileSync(`${model}.sig`, JSON.stringify(bundle))
    const run = (who: string) => {
      const trust = ['--identity', who, '--identity-issuer', issuer, '--trusted-root', root]
      return spawnSync(process.execPath, [CLI, 'verify', model, '--signature', `${model}.sig`, ...trust], { encoding: 'utf8' })
    }
    expect(run(identity)).toMatchObject({
      status: 0,
      stdout: expect.stringContaining(`verified: 2 files signed by ${identity}, vouched for by ${issuer}\n`),
    })
    expect(run('.*')).toMatchObject({
      status: 1,
      stderr: expect.stringContaining(`refused: the model was signed by '${identity}'`),
    })
  })

  test('needs a trusted root that can be read, and trusts nobody with an empty one', async () => {
    const [bundle] = await signed()
    for (const [text, trust] of [
      ['{', {}],
      ['{"tlogs":[{}]}', {}],
      ['{}', { trustedRoot: `${root}.none` }],
    ] as const) {
      writeFileSync(root, text)
      await expect(verify(bundle, trust)).rejects.toMatchObject({
        code: 'OPTIONS_INVALID',
        details: { field: 'keyless.trustedRoot' },
      })
    }
    writeFileSync(root, '{}')
    await expect(verify(bundle)).rejects.toMatchObject(because('Failed to verify certificate chain'))
  })
})

const eighthBitsSet = (text: string): Uint8Array => Buffer.from(text).map((byte) => byte | 0x80)

/** The last byte of a statement or of a signature is one that can change without making it another kind of thing. */
function changedByte(base64: string): string {
  const bytes = Buffer.from(base64, 'base64')
  bytes[bytes.length - 1]! ^= 1
  return bytes.toString('base64')
}

function loggedAgain(bundle: Signed, by: Certified): Signed {
  bundle.verificationMaterial.tlogEntries = [logEntry(bundle.dsseEnvelope, by, { log: ours.signatures, at: minutesIn(1) })]
  return bundle
}
