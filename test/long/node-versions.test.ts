/** The whole suite on the other versions of Node that are supported. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { needs } from '../support/needs.ts'
import { installNode, NODE_PACKAGE, runSuite } from '../support/node-versions.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const SUPPORTED = [20, 22, 24, 26]
const others = SUPPORTED.filter((major) => major !== Number(process.versions.node.split('.')[0]))
const BINARY = needs('Node for this platform in the npm registry', NODE_PACKAGE !== undefined)

test.each(others)('the suite passes on Node %i', BINARY, async (major) => {
  const dir = mkdtempSync(join(tmpdir(), 'node-version-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  const binary = installNode(major, dir)
  const first = await runSuite(binary, ROOT, join(dir, 'first.json'))
  console.log(`Node ${major}: ${first.passed} passed, ${first.failed.length} failed`)
  expect(first.passed).toBeGreaterThan(0)
  if (first.failed.length === 0) return
  // A busy machine is no fault of the version: what fails because of that passes when it has the machine for itself.
  console.log(first.failed.join('\n'))
  const again = await runSuite(binary, ROOT, join(dir, 'again.json'), first.files)
  expect(again.failed).toEqual([])
})
