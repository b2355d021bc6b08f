/** What a model is, rather than what it is called: processes that share results must have loaded the same bytes. */

import { createHash } from 'node:crypto'

/**
 * @param bytes one name for exactly the bytes of the model
 * @param settings whatever else may change a result
 */
export const contentId = (bytes: string, settings: unknown): string =>
  createHash('sha256')
    .update(JSON.stringify([bytes, settings]))
    .digest('base64url')
