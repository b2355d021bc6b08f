/** Programs in the README and in docs/ run, and print the output below them. Links and pictures lead somewhere. */

import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { addModel } from '../tools/models.mjs'
import { OPENSSL } from './support/openssl.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

/** Blocks of code in a page. */
const blocks = (path: string, language: string): string[] =>
  [...read(path).matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'gms'))].map(([, code = '']) => code)

/** Runs a program from the repository root; resolves with its first line of output. */
function firstLine(program: string): Promise<string> {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  return new Promise((resolve, reject) => {
    let text = ''
    child.stdout.on('data', (chunk) => {
      text += chunk
      if (text.includes('\n')) resolve(text.split('\n')[0] ?? '')
    })
    child.once('exit', (code) => reject(new Error(`ended with ${code}`)))
  })
}

test('the first program answers the curl below it with the output below that', async () => {
  const [program = ''] = blocks('README.md', 'js')
  const [console_ = ''] = blocks('README.md', 'console')
  expect(program.trim().split('\n').length).toBeLessThanOrEqual(14)
  const any = program.replace('app.listen(3000)', 'app.listen(0, function () { console.log(this.address().port) })')
  expect(any).not.toBe(program)
  const port = await firstLine(any)

  const [, path = '', body = '', output = ''] = /http:\/\/127\.0\.0\.1:3000(\S+) .*?-d '(.*?)'\n(.*)\n/s.exec(console_) ?? []
  const answer = await fetch(`http://127.0.0.1:${port}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
  })
  const printed = JSON.parse(output)
  const got = (await answer.json()) as typeof printed
  const numbers = (value: typeof printed): number[] => value.outputs[0].data
  for (const [i, number] of numbers(got).entries()) expect(number).toBeCloseTo(numbers(printed)[i] ?? Number.NaN, 4)
  got.outputs[0].data = printed.outputs[0].data
  expect(got).toEqual(printed)
  expect(await (await fetch(`http://127.0.0.1:${port}/guess`)).json()).toEqual({ gentoo: expect.closeTo(0.9986, 3) })
})

test.each([
  ['predict', 'server.purge', 'hits:'],
  ['sequences', 'let heard', 'idleTimeoutMs: 60000'],
  ['batching', 'const birds', "3 [ '0.998'"],
  ['telemetry', 'startTelemetry', 'modelmount_rows_total'],
  ['http', "await ask('/invocations'", '{"predictions":[[0.0000206'],
])('the program in docs/%s.md prints the output below it', async (page, inProgram, inOutput) => {
  const program = blocks(`docs/${page}.md`, 'js').find((code) => code.includes(inProgram))
  const output = blocks(`docs/${page}.md`, 'console').find((code) => code.includes(inOutput))
  const imports = "import { createModelServer } from 'modelmount'\n"
  const child = spawn(process.execPath, ['--input-type=module', '--eval', `${imports}${program}\nawait server.close()`], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let text = ''
  for await (const chunk of child.stdout) text += chunk
  const rounded = (lines: string | undefined) =>
    lines?.replace(/0\.\d{5,}/g, (n) => Number(n).toFixed(4)).replace(/bytes: \d+/, 'bytes')
  expect(rounded(text)).toBe(rounded(output))
})

test('the five lines of trust end in a refusal', OPENSSL, () => {
  const dir = mkdtempSync(join(tmpdir(), 'readme-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  mkdirSync(join(dir, 'models/fraud/1'), { recursive: true })
  writeFileSync(join(dir, 'models/fraud/1/model.onnx'), addModel())
  const lines = (blocks('docs/security.md', 'sh').find((code) => code.includes('openssl')) ?? '').trim().split('\n')
  expect(lines).toHaveLength(5)
  const command = `${process.execPath} ${join(root, 'dist/cli.js')}`
  const script = lines.join('\n').replaceAll('npx modelmount', command)
  const { status, stderr } = spawnSync('bash', ['-c', script], { cwd: dir, encoding: 'utf8' })
  expect(status).toBe(1)
  expect(stderr).toContain(blocks('docs/security.md', 'console').find((code) => code.startsWith('modelmount: refused')))
})

test('the model that is encrypted is served by the line below', OPENSSL, async () => {
  const dir = mkdtempSync(join(tmpdir(), 'readme-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  mkdirSync(join(dir, 'models/fraud/1'), { recursive: true })
  writeFileSync(join(dir, 'models/fraud/1/model.onnx'), addModel())
  const lines = (blocks('docs/security.md', 'sh').find((code) => code.includes('modelmount encrypt')) ?? '').trim().split('\n')
  const script = lines
    .slice(1)
    .join('\n')
    .replaceAll('npx modelmount', `${process.execPath} ${join(root, 'dist/cli.js')}`)
  const { stdout, stderr } = spawnSync('bash', ['-c', script], { cwd: dir, encoding: 'utf8' })
  expect(stderr).toBe('')
  const known = (text = '') => text.replace(/sha256:\w+/, 'sha256:…')
  expect(known(stdout)).toBe(known(blocks('docs/security.md', 'console').find((code) => code.startsWith('encrypted:'))))
  const [line = ''] = blocks('docs/security.md', 'ts').filter((code) => code.includes('encryption: { keys'))
  const program = `import { createModelServer, keysFromFile } from 'modelmount'
    process.chdir(${JSON.stringify(dir)})
    ${line}
    console.log(server.model('fraud').state)
    await server.close()`
  expect(await firstLine(program)).toBe('ready')
})

/** As GitHub makes them of headings. */
const anchorsOf = (text: string): string[] =>
  [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )

const PAGES = ['README.md', 'SECURITY.md', 'CONTRIBUTING.md', 'CHANGELOG.md', ...pagesOf('docs')]

function pagesOf(folder: string): string[] {
  const files = readdirSync(join(root, folder), { recursive: true }) as string[]
  return files.filter((file) => file.endsWith('.md')).map((file) => `${folder}/${file.replaceAll('\\', '/')}`)
}

test.each(PAGES)('links and pictures of %s lead somewhere', (page) => {
  const text = read(page).replace(/^```.*?^```$/gms, '')
  const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link).filter((link) => !/^https?:/.test(link))
  const broken = links.filter((link) => {
    const [path = '', anchor] = link.split('#')
    const target = path === '' ? page : join(dirname(page), path)
    if (!existsSync(join(root, target))) return true
    return anchor !== undefined && !anchorsOf(read(target)).includes(anchor)
  })
  expect(broken).toEqual([])
})

test('the README fits on a few screens, and names every page', () => {
  const text = read('README.md')
  expect(Buffer.byteLength(text)).toBeLessThanOrEqual(12 * 1024)
  const missing = pagesOf('docs').filter((page) => !page.startsWith('docs/adr/') && !text.includes(`](${page})`))
  expect(missing).toEqual([])
})
