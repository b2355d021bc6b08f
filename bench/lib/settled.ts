/** Waits until a model has all its instances, in the form in which they stay. */

import { setTimeout as sleep } from 'node:timers/promises'
import type { ModelServer } from 'modelmount'

/** Instances that were replaced take a moment to go. */
const LEAVING_MS = 300

export async function sharedOrNot(server: ModelServer, name: string): Promise<'plain' | 'shared'> {
  for (;;) {
    const { weights, instances } = server.model(name)
    if (weights.reason !== 'being prepared' && instances.ready >= instances.target) break
    await sleep(20)
  }
  await sleep(LEAVING_MS)
  return server.model(name).weights.form
}
