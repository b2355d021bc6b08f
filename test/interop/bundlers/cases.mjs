/** Each bundler's treatment of the app, and the shipped files: as docs/bundling.md says. */

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const ESBUILD = ['esbuild@0.28.2']
const WEBPACK = ['webpack@5.113.0', 'webpack-cli@7.3.1']
const VITE = ['vite@8.4.0']
const NEXT = ['next@16.4.6', 'react@19.3.1', 'react-dom@19.3.1']

/** Runs a bundled script, which prints what it was answered. */
const askScript = (file) => (out, tier, model) => {
  const { stdout, stderr } = spawnSync(process.execPath, [file, tier, model], { cwd: out, encoding: 'utf8', timeout: 60_000 })
  const line = stdout.split('\n').find((text) => text.startsWith('{'))
  const { direct, http, ...rest } = JSON.parse(line ?? '{}')
  if (direct === undefined || http === undefined) throw new Error(`${tier}: ${JSON.stringify(rest)} ${stderr.slice(-2000)}`)
  return [direct, http]
}

/** The engine, and the scripts beside the bundle. */
const engine = (take, production) => {
  for (const name of ['onnxruntime-node', 'onnxruntime-common']) take(join(production, name), `node_modules/${name}`)
}
const scripts = (take, to) => take('node_modules/modelmount/dist/workers', `${to}/workers`)

const bundle = (name, packages, file, build, { files, emits = false } = {}) => ({
  name,
  packages,
  files,
  build,
  ship(take, production) {
    take('out', 'out')
    engine(take, production)
    if (!emits) scripts(take, 'out')
  },
  ask: askScript(file),
})

const REQUIRE = "--banner:js=import{createRequire}from'node:module';const require=createRequire(import.meta.url)"

const webpackConfig = (output, experiments) => `
export default {
  target: 'node', mode: 'production', entry: './app.mjs',
  experiments: ${JSON.stringify(experiments)},
  output: { path: process.cwd() + '/out', clean: true, ...${JSON.stringify(output)} },
}`

const viteConfig = (noExternal) => `
export default {
  ssr: { noExternal: ${noExternal} },
  build: { ssr: 'app.mjs', outDir: 'out', emptyOutDir: true },
}`

async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address()
  probe.close()
  return port
}

/** Starts Next's own server, and asks a route. */
async function askNext(out, tier) {
  const port = await freePort()
  const env = { ...process.env, PORT: String(port), HOSTNAME: '127.0.0.1' }
  const server = spawn(process.execPath, ['server.js'], { cwd: out, env, stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = once(server, 'exit')
  let said = ''
  for (const stream of [server.stdout, server.stderr]) stream.on('data', (chunk) => (said += chunk))
  try {
    for (let tries = 0; tries < 100 && !said.includes('Ready'); tries++) await sleep(100)
    const answer = await (await fetch(`http://127.0.0.1:${port}/api/${tier}`)).text()
    const { gentoo } = JSON.parse(answer)
    if (gentoo === undefined) throw new Error(`${tier}: ${answer} ${said}`)
    return [gentoo]
  } finally {
    server.kill('SIGKILL')
    await ended
  }
}

const next = (name, ...flags) => ({
  name,
  packages: NEXT,
  copy: ['next'],
  build: (run) => {
    run('rm', '-rf', '.next')
    run('npx', 'next', 'build', ...flags)
  },
  ship(take) {
    take('.next/standalone', '.')
    take('.next/static', '.next/static')
  },
  ask: askNext,
})

export const CASES = [
  bundle('esbuild ESM', ESBUILD, 'out/app.mjs', (run) => {
    run('rm', '-rf', 'out')
    run('npx', 'esbuild', 'app.mjs', '--bundle', '--platform=node', '--format=esm', '--outfile=out/app.mjs', REQUIRE)
  }),
  bundle('esbuild CommonJS, minified', ESBUILD, 'out/app.cjs', (run) => {
    run('rm', '-rf', 'out')
    run('npx', 'esbuild', 'app.mjs', '--bundle', '--minify', '--platform=node', '--format=cjs', '--outfile=out/app.cjs')
  }),
  {
    ...bundle('esbuild, modelmount left out', ESBUILD, 'out/app.cjs', (run) => {
      run('rm', '-rf', 'out')
      run(
        'npx',
        'esbuild',
        'app.mjs',
        '--bundle',
        '--platform=node',
        '--format=cjs',
        '--packages=external',
        '--outfile=out/app.cjs',
      )
    }),
    ship(take, production) {
      take('out', 'out')
      take(production, 'node_modules')
    },
  },
  bundle('webpack CommonJS', WEBPACK, 'out/app.cjs', (run) => run('npx', 'webpack', '-c', 'webpack.config.mjs'), {
    files: { 'webpack.config.mjs': webpackConfig({ filename: 'app.cjs' }, {}) },
    emits: true,
  }),
  bundle('webpack ESM', WEBPACK, 'out/app.mjs', (run) => run('npx', 'webpack', '-c', 'webpack.config.mjs'), {
    files: { 'webpack.config.mjs': webpackConfig({ filename: 'app.mjs', module: true }, { outputModule: true }) },
    emits: true,
  }),
  bundle('vite SSR, all in one', VITE, 'out/app.mjs', (run) => run('npx', 'vite', 'build'), {
    files: { 'vite.config.mjs': viteConfig(true) },
  }),
  {
    ...bundle('vite SSR', VITE, 'out/app.mjs', (run) => run('npx', 'vite', 'build'), {
      files: { 'vite.config.mjs': viteConfig('[]') },
    }),
    ship(take, production) {
      take('out', 'out')
      take(production, 'node_modules')
    },
  },
  next('next 16, Turbopack, standalone'),
  next('next 16, webpack, standalone', '--webpack'),
]
