/** In front of each test file: proofs that its servers keep are found by no other file, and by no later run. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'

const dir = mkdtempSync(join(tmpdir(), 'modelmount-test-cache-'))
process.env.XDG_CACHE_HOME = dir
afterAll(() => rmSync(dir, { recursive: true, force: true }))
