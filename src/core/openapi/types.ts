/** The OpenAPI document of a mount. */

import type { MountOptions } from '../http/types.ts'
import type { JsonValue } from '../protocol/types.ts'

/** What a mount answers, in OpenAPI 3.1. */
export interface OpenApiDocument {
  readonly openapi: '3.1.0'
  readonly info: { readonly title: string; readonly version: string }
  readonly servers?: readonly { readonly url: string }[]
  readonly tags: readonly { readonly name: string; readonly description: string }[]
  readonly paths: Readonly<Record<string, { readonly [method: string]: JsonValue }>>
  readonly components: { readonly schemas: { readonly [name: string]: JsonValue } }
}

/** Which mount to describe, and how. */
export interface OpenApiOptions extends MountOptions {
  /** Where the app mounts it, `/ml` for example; stands in front of every path. @default none: paths below the document's own address */
  readonly prefix?: string
  /** @default the server's `name` */
  readonly title?: string
  /** Of your API. @default the version of modelmount */
  readonly version?: string
}
