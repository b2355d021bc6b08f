/** Keys and certificates made for one test, with the openssl command. */

import { execFileSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { needs } from './needs.ts'

const isThere = ((): boolean => {
  try {
    return execFileSync('openssl', ['version'], { encoding: 'utf8' }).startsWith('OpenSSL')
  } catch {
    return false
  }
})()

export const OPENSSL = needs('openssl command', isThere)

export interface Pair {
  readonly privateKey: string
  readonly publicKey: string
}

/** An EC pair as PEM text, without openssl. */
export function ecPair(namedCurve = 'prime256v1'): Pair {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve })
  return {
    privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  }
}

export interface Certified {
  readonly name: string
  readonly keyFile: string
  readonly key: string
  readonly file: string
  readonly pem: string
}

export interface CertificateWish {
  readonly name: string
  /** @default self-signed */
  readonly issuer?: Certified
  /** Lines of an openssl extensions section. */
  readonly extensions: readonly string[]
  /** `YYYYMMDDHHMMSSZ` */
  readonly from?: string
  readonly to?: string
  readonly algorithm?: 'sha256' | 'sha1'
}

export const AUTHORITY = ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign,cRLSign']
export const SIGNER = ['basicConstraints=CA:FALSE', 'keyUsage=critical,digitalSignature', 'extendedKeyUsage=codeSigning']

/** @param dir a folder of the test's own */
export function certificate(dir: string, wish: CertificateWish): Certified {
  const { name, issuer, extensions, from = '20240101000000Z', to = '20990101000000Z', algorithm = 'sha256' } = wish
  const path = (ending: string): string => join(dir, `${name}.${ending}`)
  const openssl = (...args: string[]): string => execFileSync('openssl', args, { cwd: dir, encoding: 'utf8', stdio: 'pipe' })
  const { privateKey } = ecPair()
  writeFileSync(path('key'), privateKey)
  openssl('req', '-new', '-key', path('key'), '-subj', `/CN=${name}/O=Test`, '-out', path('csr'))
  writeFileSync(path('cnf'), authority(dir, name, extensions))
  writeFileSync(path('index'), '')
  writeFileSync(
    path('serial'),
    `${Math.floor(Math.random() * 2 ** 40)
      .toString(16)
      .padStart(12, '1')}\n`,
  )
  const by = issuer ? ['-cert', issuer.file, '-keyfile', issuer.keyFile] : ['-selfsign', '-keyfile', path('key')]
  const span = ['-startdate', from, '-enddate', to]
  openssl(
    'ca',
    '-batch',
    '-notext',
    '-config',
    path('cnf'),
    '-md',
    algorithm,
    ...by,
    ...span,
    '-in',
    path('csr'),
    '-out',
    path('pem'),
  )
  return {
    name,
    keyFile: path('key'),
    key: privateKey,
    file: path('pem'),
    pem: readFileSync(path('pem'), 'utf8'),
  }
}

const authority = (dir: string, name: string, extensions: readonly string[]): string => `
[ca]
default_ca = own
[own]
database = ${join(dir, `${name}.index`)}
serial = ${join(dir, `${name}.serial`)}
new_certs_dir = ${dir}
policy = any
x509_extensions = ext
unique_subject = no
[any]
commonName = supplied
organizationName = optional
[ext]
${extensions.join('\n')}
`
