/** Options of the OpenAPI document. */

import { MOUNT_OPTIONS, type MountConfig, resolveMount } from '../http/options.ts'
import type { MountOptions } from '../http/types.ts'
import { type Declared, object, scalar, text } from '../options/kinds.ts'
import { ensure } from '../options/refuse.ts'

/** Which mount to describe, and how. */
export interface OpenApiOptions extends MountOptions {
  /** Where the app mounts it, `/ml` for example; stands in front of every path. @default none: paths below the document's own address */
  readonly prefix?: string
  /** Title of the document. @default the server's `name` */
  readonly title?: string
  /** Of your API. @default the version of modelmount */
  readonly version?: string
}

const isPrefix = (value: unknown): boolean => typeof value === 'string' && /^(\/[^/?#]+)*$/.test(value)

export const OPENAPI_OPTIONS = {
  ...MOUNT_OPTIONS,
  prefix: scalar<string>('a path that begins with a slash and does not end with one', isPrefix),
  title: text,
  version: text,
} satisfies Declared<OpenApiOptions>

const openApiOptions = object<OpenApiOptions>(OPENAPI_OPTIONS)

/**
 * Checks the options of `server.openapi()`.
 * @throws ModelmountError `OPTIONS_INVALID` with `details.problems`
 */
export function resolveOpenApi(options: OpenApiOptions): {
  readonly mount: MountConfig
  readonly about: Pick<OpenApiOptions, 'prefix' | 'title' | 'version'>
} {
  ensure(openApiOptions, options, '')
  const { prefix, title, version, ...mount } = options
  return { mount: resolveMount(mount), about: { prefix, title, version } }
}
