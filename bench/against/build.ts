/** The two builds that are compared. */

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { staleDist } from '../../tools/stale-dist.ts'

export interface Build {
  readonly dist: string
  /** Where it lies and what it was built from. */
  readonly label: string
}

/**
 * Another checkout; built when it has no dist/ yet.
 * @throws Error when it is none, cannot be built, or has a dist/ that is not that of its sources
 */
export function buildIn(dir: string): Build {
  const root = resolve(dir)
  if (nameOf(root) !== 'modelmount') throw new Error(`${root} is not a checkout of modelmount`)
  if (!existsSync(join(root, 'node_modules'))) throw new Error(`${root} has no node_modules: run npm ci there`)
  if (!existsSync(join(root, 'dist'))) {
    process.stderr.write(`building ${root} ...\n`)
    const { status } = spawnSync('npm', ['run', 'build'], { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] })
    if (status !== 0) throw new Error(`${root} cannot be built`)
  }
  const stale = staleDist(root)
  if (stale) throw new Error(`${root}: ${stale}`)
  return { dist: join(root, 'dist'), label: `${root} (${sourceOf(root)})` }
}

function nameOf(root: string): unknown {
  try {
    return (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { name?: unknown }).name
  } catch {
    return undefined
  }
}

function sourceOf(root: string): string {
  const git = (...args: string[]): string => spawnSync('git', ['-C', root, ...args], { encoding: 'utf8' }).stdout?.trim() ?? ''
  const commit = git('rev-parse', '--short', 'HEAD')
  if (!commit) return 'no commit'
  return `commit ${commit}${git('status', '--porcelain', '--', 'src') ? ' and changes' : ''}`
}
