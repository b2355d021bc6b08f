/**
 * Keyless signatures: a short-lived certificate that Sigstore gave to a proved identity, logged in public.
 * The package `sigstore` verifies them; it is loaded only for such a signature.
 */

import { readFile } from 'node:fs/promises'
import { ModelmountError } from '../errors.ts'
import { importPackage, requireFromPackage } from '../host/packages.ts'
import { printable } from '../host/printable.ts'
import type { Bundle } from './bundle.ts'
import { badOption, refuse } from './refusal.ts'
import type { KeylessTrust, Signer } from './types.ts'

/** The used part of `sigstore` and of `@sigstore/*` beneath it. */
interface Verified {
  readonly identity?: {
    readonly subjectAlternativeName?: string
    readonly extensions?: { readonly issuer?: string }
  }
}
interface Sigstore {
  createVerifier(opts: Readonly<Record<string, unknown>>): Promise<{ verify(bundle: unknown): Verified }>
}
interface Inside {
  readonly bundle: { bundleFromJSON(json: unknown): unknown }
  readonly specs: { readonly TrustedRoot: { fromJSON(json: unknown): unknown } }
  readonly verify: {
    toSignedEntity(bundle: unknown): unknown
    toTrustMaterial(root: unknown): unknown
    readonly Verifier: new (material: unknown, opts: object) => { verify(entity: unknown): Verified }
  }
}

/**
 * @param certificate of the signer, as it is in the bundle; DER
 * @throws ModelmountError `MODEL_UNTRUSTED`; `OPTIONS_INVALID` if the package or the trusted root is missing; `MODEL_LOAD_FAILED` if the
 *   trusted root cannot be fetched
 */
export async function keylessSigner(bundle: Bundle, certificate: Uint8Array, trust: KeylessTrust): Promise<Signer> {
  const verified =
    trust.trustedRoot === undefined ? await withFetchedRoot(bundle) : await withGivenRoot(bundle, trust.trustedRoot)
  const { subjectAlternativeName: identity = '', extensions } = verified.identity ?? {}
  const issuer = extensions?.issuer ?? ''
  // Trust in '', from an unset variable, would otherwise cover every signer that the authority left unnamed.
  if (identity === '' || issuer === '') throw refuse('the certificate does not name who has signed, or who vouched for it')
  // Compared here: the package would take the identity for a regular expression.
  if (identity !== trust.identity) throw refuse(`the model was signed by '${shown(identity)}', not by '${trust.identity}'`)
  if (issuer !== trust.issuer) throw refuse(`'${identity}' was vouched for by '${shown(issuer)}', not by '${trust.issuer}'`)
  // The package reads text as ASCII by dropping eighth bits, so the bytes of another name could read like this one.
  const bytes = Buffer.from(certificate)
  if (![identity, issuer].every((text) => bytes.includes(text)))
    throw refuse(`the certificate only looks as if it named '${identity}' and '${issuer}'`)
  return { method: 'keyless', identity, issuer }
}

async function withFetchedRoot(bundle: Bundle): Promise<Verified> {
  const { createVerifier } = await loadSigstore()
  const verifier = await createVerifier({}).catch((cause: unknown) => {
    throw new ModelmountError(
      'MODEL_LOAD_FAILED',
      'the trusted root of Sigstore could not be fetched; give a trusted_root.json as keyless.trustedRoot to verify offline',
      { cause },
    )
  })
  return judged(() => verifier.verify(bundle.json))
}

/** Through the packages beneath `sigstore`, because `sigstore` always asks the network for the root first. */
async function withGivenRoot(bundle: Bundle, path: string | URL): Promise<Verified> {
  const { bundle: bundles, specs, verify } = await loadInside()
  let material: unknown
  try {
    material = verify.toTrustMaterial(specs.TrustedRoot.fromJSON(JSON.parse(await readFile(path, 'utf8'))))
  } catch (cause) {
    throw badOption('keyless.trustedRoot', 'cannot be read as a trusted_root.json of Sigstore', cause)
  }
  const verifier = new verify.Verifier(material, { ctlogThreshold: 1, tlogThreshold: 1, timestampThreshold: 1 })
  return judged(() => verifier.verify(verify.toSignedEntity(bundles.bundleFromJSON(bundle.json))))
}

function judged(verify: () => Verified): Verified {
  try {
    return verify()
  } catch (cause) {
    // Some of its reasons quote the signature file.
    const why = shown(cause instanceof Error ? cause.message : String(cause))
    throw refuse(`the keyless signature does not verify: ${why}`, undefined, cause)
  }
}

const shown = (text: string): string => printable(text.slice(0, 300))

const missing = (cause: unknown): ModelmountError =>
  badOption('keyless', 'signatures need the package sigstore; run: npm install sigstore', cause)

async function loadSigstore(): Promise<Sigstore> {
  return (await importPackage('sigstore').catch((cause: unknown) => {
    throw missing(cause)
  })) as Sigstore
}

async function loadInside(): Promise<Inside> {
  try {
    const beneath = requireFromPackage('sigstore')
    const load = (name: string): unknown => beneath(`@sigstore/${name}`)
    return { bundle: load('bundle'), specs: load('protobuf-specs'), verify: load('verify') } as Inside
  } catch (cause) {
    throw missing(cause)
  }
}
