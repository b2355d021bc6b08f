/** Sizes of the inputs that the server fills in: state at the start of a sequence, and controls. */

import { ModelmountError } from '../errors.ts'
import { formatShape, product, quote } from '../tensor/index.ts'
import type { Dim, Tensor, ValueInfo } from '../tensor/types.ts'

type Tensors = Readonly<Record<string, Tensor>>

/** One size: fixed, the number of the request's rows, or that of a dimension of one of its inputs. */
type Size = number | 'rows' | { readonly input: string; readonly axis: number }

/** The sizes of one such input. */
export interface Sizes {
  /** The first dimension that counts rows. */
  readonly rowAxis: number | undefined
  /** Elements of one row, if always the same. */
  readonly perRow: number | undefined
  of(inputs: Tensors): number[]
}

export interface Rows {
  /** Rows of a request; 1 if nothing counts them. */
  of(inputs: Tensors): number
  sizesFor(value: ValueInfo, declared: readonly number[] | undefined, field: string): Sizes
}

/**
 * @param visible inputs that requests carry
 * @param axes the dimension that counts rows, by name, unless it is the first
 */
export function createRows(visible: readonly ValueInfo[], axes: Readonly<Record<string, number | 'shared'>>): Rows {
  const axisOf = (name: string): number | 'shared' => (Object.hasOwn(axes, name) ? (axes[name] as number | 'shared') : 0)
  const counting = visible.flatMap(({ name, dims }): { readonly input: string; readonly axis: number }[] => {
    const axis = axisOf(name)
    return axis !== 'shared' && dims !== undefined && axis < dims.length && typeof dims[axis] !== 'number'
      ? [{ input: name, axis }]
      : []
  })

  const rowsIn = (inputs: Tensors): number => {
    for (const { input, axis } of counting) {
      const size = inputs[input]?.dims[axis]
      if (size !== undefined) return size
    }
    return 1
  }

  /** The place of a symbol among the inputs that requests carry. */
  function placeOf(symbol: Dim): Size | undefined {
    if (typeof symbol !== 'string') return undefined
    for (const { name, dims = [] } of visible) {
      const axis = dims.indexOf(symbol)
      if (axis < 0) continue
      return counting.some((place) => place.input === name && place.axis === axis) ? 'rows' : { input: name, axis }
    }
    return undefined
  }

  function sizesFor({ name, dims: graph }: ValueInfo, declared: readonly number[] | undefined, field: string): Sizes {
    if (graph && declared && !agrees(declared, graph))
      throw wrong(field, `${field} is [${declared}] (-1 for the rows of a request), but the graph has ${formatShape(graph)}`)
    const dims = declared ?? graph
    if (!dims) throw wrong(field, `${field} must be given: the graph does not say how many dimensions ${quote(name)} has`)
    const sizes = dims.map((dim, axis): Size | undefined => {
      if (typeof dim === 'number' && dim >= 0) return dim
      return placeOf(graph?.[axis] ?? null) ?? (declared ? 'rows' : undefined)
    })
    const open = sizes.flatMap((size, axis) => (size === undefined ? [axis] : []))
    // An open dimension counts the rows, if it is the only one or the declared one.
    const axis = axisOf(name)
    const rows = sizes.includes('rows') ? undefined : open.length === 1 ? open[0] : open.find((place) => place === axis)
    if (rows !== undefined) sizes[rows] = 'rows'
    if (sizes.includes(undefined))
      throw wrong(
        field,
        `${field} must be given: the graph has ${formatShape(graph ?? [])} for ${quote(name)}, which leaves open what a sequence begins with`,
      )
    const rowAxis = sizes.indexOf('rows')
    const others = sizes.filter((_, axis) => axis !== rowAxis)
    return {
      rowAxis: rowAxis < 0 ? undefined : rowAxis,
      perRow: others.every((size) => typeof size === 'number') ? product(others) : undefined,
      of: (inputs) =>
        (sizes as readonly Size[]).map((size) =>
          typeof size === 'number' ? size : size === 'rows' ? rowsIn(inputs) : (inputs[size.input]?.dims[size.axis] ?? 0),
        ),
    }
  }

  return { of: rowsIn, sizesFor }
}

const agrees = (declared: readonly number[], graph: readonly Dim[]): boolean =>
  declared.length === graph.length && graph.every((dim, i) => typeof dim !== 'number' || dim === declared[i])

const wrong = (field: string, sentence: string): ModelmountError =>
  new ModelmountError('CONFIG_INVALID', sentence, { details: { field } })
