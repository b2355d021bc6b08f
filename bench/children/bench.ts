/** One bench in a process of its own: no bench inherits another's heap, and one that crashes takes no other along. */

import { BENCHES } from '../lib/benches.ts'
import { answerParent } from '../lib/child.ts'
import type { Row } from '../lib/row.ts'

answerParent(async (name: string): Promise<Row[]> => {
  const bench = BENCHES.find((known) => known.name === name)
  if (!bench) throw new Error(`there is no bench '${name}'`)
  return bench.run()
})
