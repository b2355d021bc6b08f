/**
 * Signatures of ours before the reference implementation, and its own before us. Run by hand, because it needs Python:
 *
 *   python3 -m venv venv && venv/bin/pip install model-signing pyopenssl
 *   npm run build && node test/interop/model-signing.mjs venv/bin/model_signing
 *
 * Passed with model-signing 1.1.1 (pyopenssl 26.4, which that release needs and does not ask for).
 */

import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const [theirs] = process.argv.slice(2)
if (!theirs) {
  console.error('usage: node test/interop/model-signing.mjs PATH-OF-model_signing')
  process.exit(2)
}
const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url))
const dir = mkdtempSync(join(tmpdir(), 'interop-'))
process.on('exit', () => rmSync(dir, { recursive: true, force: true }))

const openssl = (...args) => execFileSync('openssl', args, { cwd: dir, stdio: 'pipe' })
const reference = (...args) => spawnSync(theirs, args, { cwd: dir, encoding: 'utf8' })
const ours = (...args) => spawnSync(process.execPath, [CLI, ...args], { cwd: dir, encoding: 'utf8' })

let failures = 0
function expectExit(what, { status, stdout, stderr }, ok) {
  const right = (status === 0) === ok
  console.log(`${right ? 'ok  ' : 'FAIL'} ${what}`)
  if (!right) console.log(`${stdout}${stderr}`)
  failures += right ? 0 : 1
}

mkdirSync(join(dir, 'model/a'), { recursive: true })
const files = {
  'model.onnx': 'x',
  'model.onnx.data': 'y',
  'a/b': '1',
  'a.b': '2',
  'é.txt': '3',
  '.hidden': '4',
  empty: '',
  log: '',
}
for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, 'model', name), text)

console.log(reference('--version').stdout.trim())
for (const curve of ['prime256v1', 'secp384r1', 'secp521r1']) {
  openssl('ecparam', '-name', curve, '-genkey', '-noout', '-out', 'key.pem')
  openssl('ec', '-in', 'key.pem', '-pubout', '-out', 'key.pub')
  for (const model of ['model', 'model/model.onnx']) {
    expectExit(`${curve} ${model}: we sign`, ours('sign', model, '--signature', 'o.sig', '--private-key', 'key.pem'), true)
    const theyVerify = () => reference('verify', 'key', model, '--signature', 'o.sig', '--public_key', 'key.pub')
    expectExit(`${curve} ${model}: they verify`, theyVerify(), true)
    expectExit(
      `${curve} ${model}: they sign`,
      reference('sign', 'key', model, '--signature', 't.sig', '--private_key', 'key.pem'),
      true,
    )
    const weVerify = () => ours('verify', model, '--signature', 't.sig', '--public-key', 'key.pub')
    expectExit(`${curve} ${model}: we verify`, weVerify(), true)
    writeFileSync(join(dir, 'model/model.onnx'), 'X')
    expectExit(`${curve} ${model}: they refuse a changed file`, theyVerify(), false)
    expectExit(`${curve} ${model}: we refuse a changed file`, weVerify(), false)
    writeFileSync(join(dir, 'model/model.onnx'), 'x')
  }
}

const ignore = ['--ignore-paths', 'model/log', '--ignore-paths', 'model/a']
ours('sign', 'model', '--signature', 'model/model.sig', '--private-key', 'key.pem', ...ignore)
writeFileSync(join(dir, 'model/a/more'), '')
expectExit(
  'paths that we left out: they verify',
  reference('verify', 'key', 'model', '--signature', 'model/model.sig', '--public_key', 'key.pub'),
  true,
)
reference('sign', 'key', 'model', '--signature', 'model/model.sig', '--private_key', 'key.pem', ...ignore)
expectExit(
  'paths that they left out: we verify',
  ours('verify', 'model', '--signature', 'model/model.sig', '--public-key', 'key.pub'),
  true,
)
rmSync(join(dir, 'model/model.sig'))
rmSync(join(dir, 'model/a/more'))

const extensions = (name, ...lines) => writeFileSync(join(dir, `${name}.ext`), lines.join('\n'))
extensions('between', 'basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign')
extensions('leaf', 'keyUsage=critical,digitalSignature', 'extendedKeyUsage=codeSigning')
openssl(
  'req',
  '-x509',
  '-newkey',
  'ec',
  '-pkeyopt',
  'ec_paramgen_curve:P-256',
  '-nodes',
  '-keyout',
  'root.key',
  '-out',
  'root.pem',
  '-subj',
  '/CN=root',
  '-days',
  '30',
)
for (const [name, issuer] of [
  ['between', 'root'],
  ['leaf', 'between'],
]) {
  openssl(
    'req',
    '-new',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-384',
    '-nodes',
    '-keyout',
    `${name}.key`,
    '-out',
    `${name}.csr`,
    '-subj',
    `/CN=${name}`,
  )
  openssl(
    'x509',
    '-req',
    '-in',
    `${name}.csr`,
    '-CA',
    `${issuer}.pem`,
    '-CAkey',
    `${issuer}.key`,
    '-CAcreateserial',
    '-out',
    `${name}.pem`,
    '-days',
    '20',
    '-extfile',
    `${name}.ext`,
  )
}
const certified = (chainFlag, keyFlag, certFlag) => [keyFlag, 'leaf.key', certFlag, 'leaf.pem', chainFlag, 'between.pem']
expectExit(
  'certificate: we sign',
  ours('sign', 'model', '--signature', 'o.sig', ...certified('--certificate-chain', '--private-key', '--certificate')),
  true,
)
expectExit(
  'certificate: they verify',
  reference('verify', 'certificate', 'model', '--signature', 'o.sig', '--certificate_chain', 'root.pem'),
  true,
)
expectExit(
  'certificate: they sign',
  reference(
    'sign',
    'certificate',
    'model',
    '--signature',
    't.sig',
    ...certified('--certificate_chain', '--private_key', '--signing_certificate'),
  ),
  true,
)
expectExit('certificate: we verify', ours('verify', 'model', '--signature', 't.sig', '--certificate-roots', 'root.pem'), true)

console.log(failures === 0 ? 'all passed' : `${failures} failed`)
process.exitCode = failures === 0 ? 0 : 1
