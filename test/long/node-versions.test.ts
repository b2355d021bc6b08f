/**
 * The suite on the other versions of Node that are supported. Each runs its share, together they run the whole, and from day to day the shares
 * move on. `NODE_VERSIONS=whole` runs the whole suite on each version.
 */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, inject, onTestFinished, test } from 'vitest'
import { needs } from '../support/needs.ts'
import { installNode, NODE_PACKAGE, runSuite } from '../support/node-versions.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const SUPPORTED = [20, 22, 24, 26]
const others = SUPPORTED.filter((major) => major !== Number(process.versions.node.split('.')[0]))
const BINARY = needs('Node for this platform in the npm registry', NODE_PACKAGE !== undefined)
/** Each version takes as long as the suite itself, six to seven minutes on two cores: too long for all of them in half an hour. */
const IS_WHOLE = process.env.NODE_VERSIONS === 'whole'
const TODAY = Math.floor(Date.now() / 86_400_000)

/** Less than that is not begun. */
const LEAST_MS = (IS_WHOLE ? 8 : 4) * 60_000
/** Time that the run keeps for its own end. */
const RESERVE_MS = 30_000

const shareOf = (major: number): string | undefined =>
  IS_WHOLE ? undefined : `${((others.indexOf(major) + TODAY) % others.length) + 1}/${others.length}`

test.for(others)('the suite passes on Node %i', { ...BINARY, timeout: 15 * 60_000 }, async (major, { skip }) => {
  const leftMs = (): number => inject('longTestsEndAt') - Date.now() - RESERVE_MS
  const lacks = `not enough time was left for Node ${major}`
  skip(leftMs() < LEAST_MS, lacks)
  const dir = mkdtempSync(join(tmpdir(), 'node-version-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  const binary = installNode(major, dir)
  const signal = AbortSignal.timeout(leftMs())
  const share = shareOf(major)
  const first = await runSuite(binary, ROOT, { report: join(dir, 'first.json'), share, signal })
  if (!first) return skip(lacks)
  console.log(`Node ${major}, share ${share ?? '1/1'}: ${first.passed} passed, ${first.failed.length} failed`)
  expect(first.passed).toBeGreaterThan(0)
  if (first.failed.length === 0) return
  // A busy machine is no fault of the version: a test that fails because of that passes when it has the machine for itself.
  console.log(first.failed.join('\n'))
  const again = await runSuite(binary, ROOT, { report: join(dir, 'again.json'), files: first.files, signal })
  if (!again) return skip(lacks)
  expect(again.failed).toEqual([])
})
