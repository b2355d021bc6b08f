/** One contract in every tier: each case of the table, in each place where a model can run. */

import { createModelServer, type ModelServer } from 'modelmount'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { sceneFor } from './case.ts'
import { FAULTS } from './cases/faults.ts'
import { LIFE } from './cases/life.ts'
import { VALUES } from './cases/values.ts'
import { WAITING } from './cases/waiting.ts'
import { MODELS } from './models.ts'
import { TIERS } from './tiers.ts'

const CASES = [...VALUES, ...FAULTS, ...WAITING, ...LIFE]

for (const tier of TIERS) {
  describe(`in the tier '${tier.name}'`, tier.needs, () => {
    let server: ModelServer
    beforeAll(async () => {
      server = await createModelServer({ ...tier.settings, proof: 'before-ready', strict: true, logger: false, models: MODELS })
    })
    afterAll(() => server.close())

    test.each(CASES)('$name', ({ run }) => run(sceneFor(tier, server)))
  })
}
