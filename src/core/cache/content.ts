/** Identifies a model by its content, not its name: processes that share results must have loaded the same bytes. */

import { createHash } from 'node:crypto'

/**
 * @param bytes a name for exactly the model's bytes
 * @param settings everything else that may change a result
 */
export const contentId = (bytes: string, settings: unknown): string =>
  createHash('sha256')
    .update(JSON.stringify([bytes, settings]))
    .digest('base64url')
