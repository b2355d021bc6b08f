/** In front of each test file: one that uses dist/ does not run when that is not the build of the sources. */

import { expect, inject } from 'vitest'
import type {} from './build-age.ts'
import { usesDist } from './uses-dist.ts'

const stale = inject('staleDist')
const { testPath } = expect.getState()
if (stale && testPath && usesDist(testPath)) throw new Error(`this test uses dist/, and ${stale}`)
