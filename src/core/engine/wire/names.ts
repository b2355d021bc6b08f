/** The names of a session, which messages call by their place in its description. */

/** Names by place, and places by name. */
export interface Names {
  readonly list: readonly string[]
  readonly places: ReadonlyMap<string, number>
}

export interface SessionNames {
  readonly inputs: Names
  readonly outputs: Names
}

export const namesOf = (values: readonly { readonly name: string }[]): Names => {
  const list = values.map(({ name }) => name)
  return { list, places: new Map(list.map((name, place) => [name, place])) }
}

interface Described {
  readonly inputs: readonly { readonly name: string }[]
  readonly outputs: readonly { readonly name: string }[]
}

export const sessionNames = ({ inputs, outputs }: Described): SessionNames => ({
  inputs: namesOf(inputs),
  outputs: namesOf(outputs),
})

/** Every name is spelled out. */
export const NO_NAMES: Names = namesOf([])
export const NO_SESSION: SessionNames = { inputs: NO_NAMES, outputs: NO_NAMES }
