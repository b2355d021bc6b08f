/** `modelmount verify`: checks that a model is exactly what a trusted signer signed. */

import { statSync } from 'node:fs'
import { relative, resolve, sep } from 'node:path'
import { isModelmountError } from '../core/errors.ts'
import { type Signer, type TrustAnchors, type VerifyModelOptions, verifyModel } from '../core/integrity/index.ts'
import { type Command, parse, UsageError } from './command.ts'
import { repeatFlags } from './many.ts'
import { complain, print, printJson } from './output.ts'

const many = { type: 'string', multiple: true } as const

/** The trusted signers, for every command with these options. */
export const ANCHOR_OPTIONS = {
  'public-key': many,
  'certificate-roots': many,
  'certificate-subject': many,
  'certificate-validity': { type: 'string', default: 'notBefore' },
  identity: { type: 'string' },
  'identity-issuer': { type: 'string' },
  'trusted-root': { type: 'string' },
} as const
export const ANCHOR_FLAGS = ['--public-key', '--certificate-roots', '--certificate-subject']

const VALIDITY = ['notBefore', 'now', 'both'] as const

export const verifyCommand: Command = {
  usage: `  modelmount verify PATH --signature FILE (--public-key FILE | --certificate-roots FILE...)
      Checks a model, a file or a folder, against its signature. Exit code 0: verified, 1: refused, 2: wrong use.`,
  options: `Options of verify:
  --signature FILE            OpenSSF Model Signing v1.0, for example model.sig
  --public-key FILE...        EC keys that may have signed it, PEM
  --certificate-roots FILE... authorities that the signer's certificate must lead to, PEM
  --certificate-subject S...  permitted signers: 'CN=..., O=...' or sha256:FINGERPRINT    (default anyone certified)
  --certificate-validity T    when certificates must be valid: notBefore, now or both          (default notBefore)
  --identity ID               who has signed it without a key (needs the package sigstore)
  --identity-issuer URL       who vouched for that identity
  --trusted-root FILE         Sigstore's trusted_root.json, to stay offline
  --ignore-paths PATH...      files and folders that need not be signed
  --json                      one JSON object instead of text`,
  async run(argv) {
    const { values, positionals } = parse(repeatFlags(argv, [...ANCHOR_FLAGS, '--ignore-paths']), {
      signature: { type: 'string' },
      ...ANCHOR_OPTIONS,
      'ignore-paths': many,
      json: { type: 'boolean', default: false },
    })
    const path = onlyPath('verify', positionals)
    const { signature } = values
    if (signature === undefined) throw new UsageError('--signature FILE is missing')
    const opts: VerifyModelOptions = {
      signature,
      ...anchorsFrom(values),
      ignorePaths: ignorePathsFor(path, values['ignore-paths'] ?? []),
    }
    return report(path, opts, values.json === true)
  },
}

export interface AnchorFlags {
  readonly 'public-key'?: string[] | undefined
  readonly 'certificate-roots'?: string[] | undefined
  readonly 'certificate-subject'?: string[] | undefined
  readonly 'certificate-validity'?: string | undefined
  readonly identity?: string | undefined
  readonly 'identity-issuer'?: string | undefined
  readonly 'trusted-root'?: string | undefined
}

/** @throws UsageError */
export function anchorsFrom(values: AnchorFlags): TrustAnchors {
  const { 'public-key': publicKey, 'certificate-roots': roots, identity, 'identity-issuer': issuer } = values
  const { 'certificate-subject': subjects, 'trusted-root': trustedRoot } = values
  const validity = VALIDITY.find((known) => known === values['certificate-validity'])
  if (!validity) throw new UsageError(`--certificate-validity must be one of ${VALIDITY.join(', ')}`)
  if (!publicKey && !roots && identity === undefined)
    throw new UsageError('--public-key FILE, --certificate-roots FILE or --identity ID is missing')
  if ((identity === undefined) !== (issuer === undefined))
    throw new UsageError('--identity ID and --identity-issuer URL belong together')
  if (subjects && !roots) throw new UsageError('--certificate-subject needs --certificate-roots')
  return {
    ...(publicKey ? { publicKey } : {}),
    ...(roots ? { certificates: { roots, validity, ...(subjects ? { subjects } : {}) } } : {}),
    ...(identity !== undefined && issuer !== undefined
      ? { keyless: { identity, issuer, ...(trustedRoot === undefined ? {} : { trustedRoot }) } }
      : {}),
  }
}

export function onlyPath(command: string, positionals: readonly string[]): string {
  const [path, ...rest] = positionals
  if (path === undefined) throw new UsageError(`${command} needs the path of a model`)
  if (rest.length > 0) throw new UsageError(`${command} takes one path, got also '${rest[0]}'`)
  return path
}

/** As a shell completes them, from the current folder; or as they are called inside the model. */
export function ignorePathsFor(model: string, paths: readonly string[]): string[] {
  return paths.map((path) => {
    const inside = relative(resolve(model), resolve(path))
    const isInside = inside !== '' && inside !== '..' && !inside.startsWith(`..${sep}`) && resolve(path) !== inside
    if (isInside) return inside.split(sep).join('/')
    if (resolve(path) === path) throw new UsageError(`--ignore-paths ${path} lies outside the model`)
    return path
  })
}

async function report(path: string, opts: VerifyModelOptions, json: boolean): Promise<number> {
  try {
    const { digest, signer, files, signatureDigest } = await verifyModel(path, opts)
    const names = [...files.keys()]
    const what = isFolder(path) ? `${names.length} ${names.length === 1 ? 'file' : 'files'}` : 'the file'
    if (json) printJson({ verified: true, path, digest, signer, signatureDigest, files: names })
    else print(`verified: ${what} signed by ${describe(signer)}`, `digest: ${digest}`)
    return 0
  } catch (error) {
    if (!isModelmountError(error)) throw error
    if (json) printJson({ verified: false, path, code: error.code, reason: error.message })
    else complain(`refused: ${error.message} (${error.code})`)
    return 1
  }
}

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true

export function describe(signer: Signer): string {
  if (signer.method === 'key') return `key ${signer.keyId}`
  if (signer.method === 'certificate') return `certificate ${signer.subject} (sha256:${signer.fingerprint})`
  return `${signer.identity}, vouched for by ${signer.issuer}`
}
