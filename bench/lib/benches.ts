/** Every bench, in the order in which they run. */

import { batching, noGain } from '../batching.ts'
import { bodies } from '../bodies.ts'
import { callers } from '../callers.ts'
import { encoder } from '../encoder.ts'
import { gainCurve } from '../gain-curve.ts'
import { hostIsolation } from '../host-isolation.ts'
import { hostTime } from '../host-time.ts'
import { httpAdapters } from '../http-adapters.ts'
import { httpJson } from '../http-json.ts'
import { idle } from '../idle.ts'
import { image } from '../image.ts'
import { inline } from '../inline.ts'
import { integrity } from '../integrity.ts'
import { json } from '../json.ts'
import { largeInputs } from '../large-inputs.ts'
import { memory } from '../memory.ts'
import { oneCaller } from '../one-caller.ts'
import { overload } from '../overload.ts'
import { padding } from '../padding.ts'
import { predict } from '../predict.ts'
import { processTier } from '../process-tier.ts'
import { scan } from '../scan.ts'
import { slowInstance } from '../slow-instance.ts'
import { start } from '../start.ts'
import { telemetry } from '../telemetry.ts'
import { weights } from '../weights.ts'
import { workerFed } from '../worker-fed.ts'
import type { Bench } from './row.ts'

export const BENCHES: readonly Bench[] = [
  predict,
  hostTime,
  oneCaller,
  inline,
  processTier,
  largeInputs,
  batching,
  workerFed,
  noGain,
  padding,
  gainCurve,
  callers,
  overload,
  json,
  bodies,
  httpJson,
  httpAdapters,
  encoder,
  image,
  hostIsolation,
  start,
  idle,
  slowInstance,
  telemetry,
  memory,
  integrity,
  scan,
  weights,
]
