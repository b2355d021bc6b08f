/** An app in a process of its own. */

import type { AppAnswer, AppAsk } from '../apps/ask.ts'
import { startExpress } from '../apps/express.ts'
import { startFastify } from '../apps/fastify.ts'
import { answerParent } from '../lib/child.ts'

answerParent((ask: AppAsk): Promise<AppAnswer> => (ask.framework === 'express' ? startExpress(ask) : startFastify(ask)))
