/** The whole suite on the other versions of Node that are supported. */

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
/** Each version costs as much as the suite itself. */
const ASKED = needs('NODE_VERSIONS=1, which asks for the suite on other versions of Node', process.env.NODE_VERSIONS === '1')

/** Less than that is not begun: the whole suite takes six to seven minutes on two cores. */
const LEAST_MS = 8 * 60_000
/** What the run keeps for its own end. */
const RESERVE_MS = 30_000

test.for(others)(
  'the suite passes on Node %i',
  { ...(ASKED.skip ? ASKED : BINARY), timeout: 15 * 60_000 },
  async (major, { skip }) => {
    const leftMs = (): number => inject('longTestsEndAt') - Date.now() - RESERVE_MS
    const lacks = `not enough time was left for Node ${major}`
    skip(leftMs() < LEAST_MS, lacks)
    const dir = mkdtempSync(join(tmpdir(), 'node-version-'))
    onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
    const binary = installNode(major, dir)
    const signal = AbortSignal.timeout(leftMs())
    const first = await runSuite(binary, ROOT, { report: join(dir, 'first.json'), signal })
    if (!first) return skip(lacks)
    console.log(`Node ${major}: ${first.passed} passed, ${first.failed.length} failed`)
    expect(first.passed).toBeGreaterThan(0)
    if (first.failed.length === 0) return
    // A busy machine is no fault of the version: what fails because of that passes when it has the machine for itself.
    console.log(first.failed.join('\n'))
    const again = await runSuite(binary, ROOT, { report: join(dir, 'again.json'), files: first.files, signal })
    if (!again) return skip(lacks)
    expect(again.failed).toEqual([])
  },
)
