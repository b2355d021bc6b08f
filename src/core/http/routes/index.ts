/** The route tables that no dialect brings, in the order in which patterns are tried. */

import type { TableMaker } from '../route.ts'
import { extensions } from './extensions.ts'
import { metrics } from './metrics.ts'
import { openapi } from './openapi.ts'

export const TABLES: readonly TableMaker[] = [metrics, openapi, extensions]
