/** The OpenAPI document of a mount. */

import type { JsonValue } from '../dialects/types.ts'

export type { OpenApiOptions } from './options.ts'

/** The routes of a mount, in OpenAPI 3.1. */
export interface OpenApiDocument {
  readonly openapi: '3.1.0'
  readonly info: { readonly title: string; readonly version: string }
  readonly servers?: readonly { readonly url: string }[]
  readonly tags: readonly { readonly name: string; readonly description: string }[]
  readonly paths: Readonly<Record<string, { readonly [method: string]: JsonValue }>>
  readonly components: { readonly schemas: { readonly [name: string]: JsonValue } }
}
