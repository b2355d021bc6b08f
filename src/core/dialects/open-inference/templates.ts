/**
 * The requests of one client mostly differ in their numbers alone, and in the shapes that say how many there are. The text around those has been
 * parsed and checked once; where a body has the very same bytes around its lists, only these are read. Keeps nothing of any caller: bodies with an id or parameters of their own, which
 * differ from request to request anyway, are not learned from.
 */

import { allocateInside, type ElementArrays, isRefused, product } from '../../tensor/index.ts'
import type { DType, ModelSignature, Tensor, ValueInfo } from '../../tensor/types.ts'
import { findDataSpans } from '../codec/data-spans.ts'
import { isScannable, scanAll } from '../codec/number-scanner.ts'
import type { InferRequest } from './infer-request.ts'
import { type Bound, countShapes, fitsShape, readShape, startOfShape } from './shape-text.ts'

interface List {
  readonly input: string
  readonly type: DType
  readonly dims: readonly number[]
  readonly count: number
  readonly nonFinite: ValueInfo['nonFinite']
  readonly declared: ValueInfo['dims']
  /** Where the shape may be another: the text between it and the list. The piece before ends with the bracket that opens the shape. */
  readonly between: Buffer | undefined
}

interface Template {
  /** The text before the first list, between lists, and after the last. */
  readonly pieces: readonly Buffer[]
  /** In the order of the body. */
  readonly lists: readonly List[]
  /** In the order of the signature. */
  readonly inputs: readonly string[]
  readonly request: InferRequest
}

export interface Templates {
  /**
   * The request in a body like one that was learned from.
   * @param maxElements largest number of elements of one input
   */
  read(body: Uint8Array, maxElements: number): InferRequest | undefined
  /**
   * Takes note of a body that {@link read} did not know.
   * @param names of its inputs, in its order
   */
  learn(body: Uint8Array, names: readonly string[], request: InferRequest): void
}

/** Larger bodies are read in slices; the text around their numbers costs nothing beside them. */
const MOST_BYTES = 8 * 1024
/** Of one model: clients that write their requests in different ways. */
const MOST_TEMPLATES = 4
/** To learn takes half of what it takes to read: where no two requests are alike, most are not learned from. */
const LEARN_EVERY = 32

const CLOSE_ARRAY = 0x5d

const known = new WeakMap<ModelSignature, Templates>()

/** Those of a model, for as long as it is loaded. */
export function templatesOf(signature: ModelSignature): Templates {
  let templates = known.get(signature)
  if (!templates) {
    templates = createTemplates(signature)
    known.set(signature, templates)
  }
  return templates
}

export function createTemplates({ inputs }: Pick<ModelSignature, 'inputs'>): Templates {
  const templates: Template[] = []
  let misses = 0
  let oldest = 0

  return {
    read(body, maxElements) {
      if (body.byteLength > MOST_BYTES) return undefined
      // A view costs more than what it is for.
      const bytes = Buffer.isBuffer(body) ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength)
      for (const template of templates) {
        const request = readBy(template, bytes, maxElements)
        if (request) return request
      }
      return undefined
    },
    learn(body, names, request) {
      if (body.byteLength > MOST_BYTES || misses++ % LEARN_EVERY !== 0) return
      const template = templateOf(body, names, request, inputs)
      if (!template) return
      templates[oldest] = template
      oldest = (oldest + 1) % MOST_TEMPLATES
    },
  }
}

function templateOf(
  body: Uint8Array,
  names: readonly string[],
  request: InferRequest,
  infos: readonly ValueInfo[],
): Template | undefined {
  if (request.id !== undefined || Object.keys(request.parameters).length > 0) return undefined
  const spans = findDataSpans(body)?.spans
  if (spans?.size !== names.length) return undefined
  const pieces: Buffer[] = []
  const lists: List[] = []
  let end = 0
  for (const [index, { from, to }] of spans) {
    const input = names[index] as string
    const { type, dims, data } = request.inputs[input] as Tensor
    if (!isScannable(type)) return undefined
    pieces.push(Buffer.from(body.subarray(end, from)))
    const info = infos.find(({ name }) => name === input)
    const { nonFinite, dims: declared } = info ?? {}
    lists.push({ input, type, dims: [...dims], count: data.length, nonFinite, declared, between: undefined })
    end = to
  }
  pieces.push(Buffer.from(body.subarray(end)))
  const template = { pieces, lists, inputs: Object.keys(request.inputs), request }
  return mayVary(template) ? withShapes(template) : template
}

/**
 * Each shape stands once before its list, so that the count of its numbers is known there. Labels of an answer are bounded by the rows of the
 * request, which were checked for one shape.
 */
const mayVary = ({ pieces, request: { forms } }: Template): boolean =>
  pieces.every((piece, i) => countShapes(piece) === (i < pieces.length - 1 ? 1 : 0)) &&
  [...forms.named.values()].every(({ classes }) => classes === 0)

/** The same with room for other shapes: of all lists or of none, because their sizes depend on each other. */
function withShapes(template: Template): Template {
  const pieces = [...template.pieces]
  const lists: List[] = []
  for (const [i, list] of template.lists.entries()) {
    const piece = pieces[i] as Buffer
    const start = startOfShape(piece)
    const end = start === undefined ? -1 : readShape(piece, start, [])
    if (start === undefined || end < 0) return template
    pieces[i] = piece.subarray(0, start)
    lists.push({ ...list, between: piece.subarray(end) })
  }
  return { ...template, pieces, lists }
}

function readBy({ pieces, lists, inputs, request }: Template, bytes: Buffer, maxElements: number): InferRequest | undefined {
  const last = pieces.at(-1) as Buffer
  // The ends first: they are the cheapest to tell apart.
  if (!isAt(bytes, bytes.length - last.length, last)) return undefined
  const read: Record<string, Tensor> = Object.create(null)
  const bound: Bound = []
  let at = 0
  for (let i = 0; i < lists.length; i++) {
    const piece = pieces[i] as Buffer
    const list = lists[i] as List
    const { input, type, nonFinite, between } = list
    if (!isAt(bytes, at, piece)) return undefined
    // A caller may change its own.
    const dims: number[] = between ? [] : [...list.dims]
    let from = at + piece.length
    if (between) {
      const shapeEnd = readShape(bytes, from, dims)
      if (shapeEnd < 0 || !fitsShape(dims, list.declared, bound) || !isAt(bytes, shapeEnd, between)) return undefined
      from = shapeEnd + between.length
    }
    const count = between ? product(dims) : list.count
    const to = bytes.indexOf(CLOSE_ARRAY, from)
    // Each number takes a digit and a comma.
    if (to < 0 || count > (to - from + 1) / 2 || count > maxElements) return undefined
    const data: ElementArrays[DType] = allocateInside(type, count)
    if (!scanAll(type, bytes, { from, to }, data)) return undefined
    const tensor = { type, dims, data } as Tensor
    if (nonFinite && isRefused({ nonFinite }, tensor)) return undefined
    read[input] = tensor
    at = to
  }
  if (bytes.length - at !== last.length) return undefined
  const { outputs, forms, parameters } = request
  return { inputs: lists.length === 1 ? read : inOrder(read, inputs), outputs, forms, parameters }
}

const isAt = (bytes: Buffer, at: number, piece: Buffer): boolean =>
  at >= 0 && at + piece.length <= bytes.length && bytes.compare(piece, 0, piece.length, at, at + piece.length) === 0

function inOrder(tensors: Readonly<Record<string, Tensor>>, names: readonly string[]): Record<string, Tensor> {
  const ordered: Record<string, Tensor> = Object.create(null)
  for (const name of names) ordered[name] = tensors[name] as Tensor
  return ordered
}
