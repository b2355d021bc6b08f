/** The files that a model keeps weights in, and the bytes of each that its tensors need. */

export interface Reference {
  readonly location: string
  /** The first tensor that names it. */
  readonly where: string
  /** Required size of the file, and the tensor that requires it. */
  end: bigint
  endWhere: string
}

export interface References {
  readonly all: Iterable<Reference>
  add(location: string, end: bigint, where: string): void
}

export function createReferences(): References {
  const byLocation = new Map<string, Reference>()
  return {
    get all() {
      return byLocation.values()
    },
    add(location, end, where) {
      const known = byLocation.get(location)
      if (!known) byLocation.set(location, { location, where, end, endWhere: where })
      else if (end > known.end) {
        known.end = end
        known.endWhere = where
      }
    },
  }
}
