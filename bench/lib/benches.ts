/** Every bench, in the order in which they run. */

import { batching } from '../batching.ts'
import { hostIsolation } from '../host-isolation.ts'
import { httpJson } from '../http-json.ts'
import { memory } from '../memory.ts'
import { predict } from '../predict.ts'
import { processTier } from '../process-tier.ts'
import type { Bench } from './row.ts'

export const BENCHES: readonly Bench[] = [predict, batching, processTier, httpJson, hostIsolation, memory]
