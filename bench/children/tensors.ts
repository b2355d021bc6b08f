/** An app for models of any inputs, in a process of its own. */

import type { AppAnswer } from '../apps/ask.ts'
import { startTensors, type TensorsAsk } from '../apps/tensors.ts'
import { answerParent } from '../lib/child.ts'

answerParent<TensorsAsk, AppAnswer>(startTensors)
