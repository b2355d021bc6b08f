/** Every route table there is, in the order in which patterns are tried. A new one is a file and a line here. */

import type { TableMaker } from '../route.ts'
import { configuration } from './configuration.ts'
import { extensions } from './extensions.ts'
import { generate } from './generate.ts'
import { metrics } from './metrics.ts'
import { mlflow } from './mlflow.ts'
import { openInference } from './open-inference.ts'
import { openapi } from './openapi.ts'
import { repository } from './repository.ts'
import { statistics } from './statistics.ts'
import { tfServing } from './tf-serving.ts'

export const TABLES: readonly TableMaker[] = [
  openInference,
  statistics,
  configuration,
  repository,
  generate,
  metrics,
  openapi,
  tfServing,
  mlflow,
  extensions,
]
