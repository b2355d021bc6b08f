/** The outputs that requests ask for. Equal lists become one list, so that the queue knows them again by identity. */

export interface Selections {
  /** All names. */
  readonly all: readonly string[]
  /**
   * The list for these names: all of them where there are none, each name once.
   * @returns `undefined` if a name is unknown
   */
  of(wanted: readonly string[] | undefined): readonly string[] | undefined
}

interface Node {
  /** Of the names up to here. */
  readonly list: readonly string[]
  readonly next: Map<string, Node>
}

/** Lists that are kept for a model, with all their beginnings. Requests may ask for more, and each of those gets a list of its own. */
const MOST_NODES = 256

export function createSelections(names: readonly string[]): Selections {
  const all = Object.freeze([...names])
  const root: Node = { list: all, next: new Map() }
  let nodes = 0

  function learn(wanted: readonly string[]): readonly string[] | undefined {
    if (wanted.some((name) => !all.includes(name))) return undefined
    if (nodes + wanted.length > MOST_NODES) return Object.freeze([...new Set(wanted)])
    let node = root
    for (const [index, name] of wanted.entries()) {
      const known = node.next.get(name)
      if (!known) nodes++
      const next = known ?? { list: Object.freeze([...new Set(wanted.slice(0, index + 1))]), next: new Map() }
      node.next.set(name, next)
      node = next
    }
    return node.list
  }

  return {
    all,
    of(wanted) {
      if (wanted === undefined) return all
      let node = root
      for (let i = 0; i < wanted.length; i++) {
        const next = node.next.get(wanted[i] as string)
        if (!next) return learn(wanted)
        node = next
      }
      return node.list
    },
  }
}
