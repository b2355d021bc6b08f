/** The dialects. A new one is a folder and a line in the list, and `npm run generate`. */

import type { Dialect } from './dialect.ts'
import { mlflow } from './mlflow/index.ts'
import { openInference } from './open-inference/index.ts'
import { tfServing } from './tf-serving/index.ts'

export type { Dialect, Mount } from './dialect.ts'
export { decodersOf, ownerOf } from './lists.ts'
export { checkJsonType } from './media-type.ts'
export type {
  Asked,
  BodyForm,
  Decoder,
  DecoderOptions,
  Operation,
  Schedule,
} from './operation.ts'
export { json } from './response.ts'
export type { Backend, Handler, Route, Visit } from './route.ts'

/** In the order in which they are listed and described. A mount that names none has the first. */
export const DIALECTS = [openInference, tfServing, mlflow] as const satisfies readonly Dialect[]
