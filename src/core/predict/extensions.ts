/** The extensions of one server: checked when it is made, started before its first prediction, closed with it. */

import { list, special } from '../options/kinds.ts'
import { API_VERSION, type Extension, type ExtensionContext } from './extension.ts'
import { PLACES } from './stage.ts'

/** Options that extend a server. */
export interface ExtensionOptions {
  /** Capabilities beyond serving models, each a handle of its own; see `modelmount/extension`. In one place the first is outermost. @default none */
  readonly extensions?: readonly Extension[]
}

const NAME = /^[a-z][a-z0-9-]{0,63}$/

const extension = special<Extension>(`an extension of API version ${API_VERSION}`, (value, problems) => {
  const fault = faultOf(value)
  if (fault) problems.push((path) => `${path} ${fault}`)
})

export const EXTENSION_OPTIONS = { extensions: list(extension) }

function faultOf(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return `must be an extension of API version ${API_VERSION}`
  const { apiVersion, name, stages = {} } = value as Partial<Extension>
  if (apiVersion !== API_VERSION) return `must have the apiVersion ${API_VERSION}, got ${String(apiVersion).slice(0, 20)}`
  if (typeof name !== 'string' || !NAME.test(name)) return 'must have a name of lower-case letters, digits and -'
  const unknown = Object.keys(stages).find((place) => !PLACES.some((known) => known === place))
  return unknown === undefined
    ? undefined
    : `has a stage in the place '${unknown.slice(0, 40)}'; the places are ${PLACES.join(', ')}`
}

/** Contradictions between the extensions of one server. */
export function extensionContradictions({ extensions = [] }: ExtensionOptions): string[] {
  const names = extensions.map(({ name }) => name)
  const problems = names.flatMap((name, index) =>
    names.indexOf(name) < index ? [`extensions[${index}] is a second '${name}'`] : [],
  )
  const served = new Set<string>()
  for (const [index, { servables = [] }] of extensions.entries())
    for (const [at, { name, version }] of servables.entries()) {
      const id = JSON.stringify([name, version])
      if (served.has(id)) problems.push(`extensions[${index}].servables[${at}] is a second version '${version}' of '${name}'`)
      served.add(id)
    }
  return problems
}

type Lent = Omit<ExtensionContext, 'warn' | 'sources' | 'panels'>

/** @throws the error of the first extension that does not start, after those before it were closed */
export async function startExtensions(
  extensions: readonly Extension[],
  lent: Lent,
  warn: (message: string) => void,
): Promise<() => Promise<void>> {
  const sources = extensions.flatMap(({ sources = [] }) => sources)
  const panels = extensions.flatMap(({ panels = [] }) => panels)
  const started: Extension[] = []

  async function close(): Promise<void> {
    for (const extension of started.splice(0).reverse()) {
      try {
        await extension.close?.()
      } catch (error) {
        warn(`extension '${extension.name}' could not be closed: ${error instanceof Error ? error.message : String(error)}`)
      }
    }
  }

  try {
    for (const extension of extensions) {
      const says = (message: string): void => warn(`extension '${extension.name}': ${message}`)
      await extension.start?.({ ...lent, warn: says, sources, panels })
      started.push(extension)
    }
  } catch (error) {
    await close()
    throw error
  }
  return close
}
