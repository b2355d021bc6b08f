/**
 * The signed statement: an in-toto statement that lists every file with its digest.
 * Format: OpenSSF Model Signing v1.0, predicate type https://model_signing/signature/v1.0
 */

import { createHash } from 'node:crypto'
import { printable } from '../host/printable.ts'
import { isRecord, parseJson } from './json.ts'
import { nameProblem } from './names.ts'
import { refuse } from './refusal.ts'

const STATEMENT_TYPE = 'https://in-toto.io/Statement/v1'
const PREDICATE_TYPE = 'https://model_signing/signature/v1.0'
const MAX_RESOURCES = 100_000
const DIGEST = /^[0-9a-f]{64}$/

export interface Resource {
  readonly name: string
  /** 64 hex digits. */
  readonly sha256: string
}

export interface Statement {
  /** Last part of the model's path where it was signed. */
  readonly name: string
  /** In the order of the format. */
  readonly resources: readonly Resource[]
  /** Files that the signer left out, relative to the model. */
  readonly ignorePaths: readonly string[]
}

/** SHA-256 over the digests of all files. Names are not in it: two files that swap names have the same one. */
export function rootDigest(resources: readonly Resource[]): string {
  const hash = createHash('sha256')
  for (const { sha256 } of resources) hash.update(Buffer.from(sha256, 'hex'))
  return hash.digest('hex')
}

export function writeStatement({ name, resources, ignorePaths }: Statement): Uint8Array {
  const statement = {
    _type: STATEMENT_TYPE,
    subject: [{ name, digest: { sha256: rootDigest(resources) } }],
    predicateType: PREDICATE_TYPE,
    predicate: {
      serialization: { method: 'files', hash_type: 'sha256', allow_symlinks: false, ignore_paths: ignorePaths },
      resources: resources.map(({ name, sha256 }) => ({ name, algorithm: 'sha256', digest: sha256 })),
    },
  }
  return Buffer.from(JSON.stringify(statement))
}

/** Reads a statement whose signature was verified. @throws ModelmountError `MODEL_UNTRUSTED` */
export function readStatement(payload: Uint8Array): Statement {
  const statement = parseJson(payload, 'the signed statement')
  if (!isRecord(statement)) throw refuse('the signed statement is not a JSON object')
  expectValue(statement._type, STATEMENT_TYPE, '_type')
  expectValue(statement.predicateType, PREDICATE_TYPE, 'predicateType')
  const { subject, predicate } = statement
  if (!Array.isArray(subject) || subject.length !== 1)
    throw refuse(`the statement must have one subject, got ${Array.isArray(subject) ? subject.length : 'none'}`)
  const [{ name, digest } = {} as Record<string, unknown>] = subject.filter(isRecord)
  if (!isRecord(digest) || !isDigest(digest.sha256)) throw refuse('the subject has no SHA-256 digest')
  if (!isRecord(predicate)) throw refuse('the statement has no predicate')
  const ignorePaths = readSerialization(predicate.serialization)
  const resources = readResources(predicate.resources)
  if (rootDigest(resources) !== digest.sha256)
    throw refuse(`the statement contradicts itself: its files do not add up to the digest ${digest.sha256}`)
  return { name: typeof name === 'string' ? name : '', resources, ignorePaths }
}

function readSerialization(value: unknown): readonly string[] {
  if (!isRecord(value)) throw refuse('the statement does not say how files were hashed')
  expectValue(value.method, 'files', 'serialization.method')
  expectValue(value.hash_type, 'sha256', 'serialization.hash_type')
  const { ignore_paths: paths = [] } = value
  if (!Array.isArray(paths) || paths.length > MAX_RESOURCES || !paths.every((path) => typeof path === 'string'))
    throw refuse('serialization.ignore_paths must be a list of paths')
  return paths
}

function readResources(value: unknown): readonly Resource[] {
  if (!Array.isArray(value) || value.length === 0) throw refuse('the statement lists no files')
  if (value.length > MAX_RESOURCES) throw refuse(`the statement lists more than ${MAX_RESOURCES} files`)
  const seen = new Set<string>()
  return value.map((entry) => {
    const { name, algorithm, digest } = isRecord(entry) ? entry : ({} as Record<string, unknown>)
    if (typeof name !== 'string') throw refuse('a file in the statement has no name')
    const problem = name === '.' && value.length === 1 ? undefined : nameProblem(name)
    if (problem) throw refuse(`file ${shown(name)} in the statement cannot belong to a model: ${problem}`)
    if (seen.has(name)) throw refuse(`file ${shown(name)} is in the statement twice`)
    seen.add(name)
    expectValue(algorithm, 'sha256', `algorithm of ${shown(name)}`)
    if (!isDigest(digest)) throw refuse(`file ${shown(name)} in the statement has no SHA-256 digest of 64 hex digits`)
    return { name, sha256: digest }
  })
}

const isDigest = (value: unknown): value is string => typeof value === 'string' && DIGEST.test(value)

function expectValue(got: unknown, expected: string, field: string): void {
  if (got !== expected)
    throw refuse(`${field} must be '${expected}', got ${typeof got === 'string' ? shown(got) : typeof got}`, { field, expected })
}

const shown = (text: string): string => `'${printable(text.slice(0, 200))}'`
