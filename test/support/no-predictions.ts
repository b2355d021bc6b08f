/** For a mount whose routes run no model. */

import type { HttpDeps } from '../../src/core/http/index.ts'

const none = (): Promise<never> => Promise.reject(new Error('no route runs a model'))

export const NO_PREDICTIONS: Pick<HttpDeps, 'pipeline' | 'ledger'> = {
  pipeline: { isExtended: false, predict: none, refuse: none },
  ledger: { succeeded() {}, failed() {} },
}
