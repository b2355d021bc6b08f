/** Every route table there is, in the order in which patterns are tried. A new one is a file and a line here. */

import { mlflow } from '../../dialects/mlflow/routes.ts'
import { configuration } from '../../dialects/open-inference/routes/configuration.ts'
import { generate } from '../../dialects/open-inference/routes/generate.ts'
import { openInference } from '../../dialects/open-inference/routes/inference.ts'
import { repository } from '../../dialects/open-inference/routes/repository.ts'
import { statistics } from '../../dialects/open-inference/routes/statistics.ts'
import { tfServing } from '../../dialects/tf-serving/routes.ts'
import type { TableMaker } from '../route.ts'
import { extensions } from './extensions.ts'
import { metrics } from './metrics.ts'
import { openapi } from './openapi.ts'

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
