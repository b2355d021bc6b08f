/** The steps of a load: check the files, read them, choose the tier, prepare, start the instances, enter service. */

import { admit } from './admit.ts'
import type { LoadContext } from './context.ts'
import { enter } from './enter.ts'
import { place } from './place.ts'
import { prepare } from './prepare.ts'
import { read } from './read.ts'
import { start } from './start.ts'
import { inOrder } from './steps.ts'

export const LOAD = inOrder<Parameters<typeof admit>[0], Awaited<ReturnType<typeof admit>>, LoadContext>(admit)
  .next(read)
  .next(place)
  .next(prepare)
  .next(start)
  .next(enter)
