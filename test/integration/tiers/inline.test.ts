/**
 * The contract for runs on the host. The server is that of src/, so that the event loop can say what the test wants: room, and none while
 * workers are held, when all work goes to them.
 */

import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { createModelServer, type ModelServer, type PredictInputs } from 'modelmount'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { loop } from '../../support/host-loop.ts'
import { sceneFor } from './case.ts'
import { FAULTS } from './cases/faults.ts'
import { LIFE } from './cases/life.ts'
import { VALUES } from './cases/values.ts'
import { WAITING } from './cases/waiting.ts'
import { MODELS } from './models.ts'
import { TIERS, type Tier } from './tiers.ts'

vi.mock('modelmount', () => import('../../../src/index.ts'))
vi.mock('../../../src/core/engine/inline/loop.ts', () => import('../../support/host-loop.ts'))
vi.mock('../../../src/core/engine/inline/limits.ts', () => ({
  MOST_MS: 1000,
  MOST_BYTES: 2 ** 20,
  TOO_LONG: Number.POSITIVE_INFINITY,
}))
vi.mock('../../../src/core/host/scripts.ts', async (original) => {
  const scriptPath = (script: string): string => fileURLToPath(new URL(`../../../dist/workers/${script}.cjs`, import.meta.url))
  const requireFromScripts = () => createRequire(scriptPath('worker'))
  return { ...(await original<object>()), scriptPath, requireFromScripts }
})

const [threads] = TIERS as readonly [Tier, Tier]

const INLINE: Tier = {
  ...threads,
  name: 'inline',
  settings: { ...threads.settings, inline: 'auto' },
  hold(workers) {
    loop.calm = false
    onTestFinished(() => {
      loop.calm = true
    })
    return threads.hold(workers)
  },
}

/** Models of the shared server that must be on the host, or the cases would say nothing about it. */
const ON_HOST = ['add', 'identity', 'mlp', 'three']

function inputsFor(server: ModelServer, name: string): PredictInputs {
  const rows = server.model(name).inputs.map((input) => {
    const dims = (input.dims ?? []).map((dim) => (typeof dim === 'number' ? dim : 1))
    return [input.name, { type: 'float32' as const, dims, data: new Float32Array(dims.reduce((n, dim) => n * dim, 1)) }]
  })
  return Object.fromEntries(rows)
}

describe("in the tier 'inline'", INLINE.needs, () => {
  let server: ModelServer
  beforeAll(async () => {
    server = await createModelServer({ ...INLINE.settings, strict: true, logger: false, models: MODELS })
  })
  afterAll(() => server.close())

  test.each(ON_HOST)('%s gets to the host', async (name) => {
    await expect
      .poll(() => server.predict(name, inputsFor(server, name)).then(() => server.model(name).tier))
      .toMatchObject({ name: 'inline' })
  })

  test.each([...VALUES, ...FAULTS, ...WAITING, ...LIFE])('$name', ({ run }) => run(sceneFor(INLINE, server)))
})
