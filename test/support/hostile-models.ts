/** Models that point outside of themselves: each kind of tensor, and each place that it can lie in. */

import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import { join } from 'node:path'
import {
  attr,
  type ExternalLocation,
  type GraphSpec,
  modelFunction,
  node,
  sparseTensor,
  tensor,
  value,
  writeModel,
} from '../../tools/onnx-writer.mjs'

type Kind = 'initializer' | 'Constant' | 'sparse_initializer' | 'Constant.sparse_value'

/** y float32 [2], which is the tensor, or the dense form of it. Its data are elsewhere. */
const GRAPHS: Readonly<Record<Kind, (external: ExternalLocation) => GraphSpec>> = {
  initializer: (external) => ({
    outputs: [value('y', 'float', [2])],
    nodes: [node('Identity', ['w'], ['y'])],
    initializers: [tensor('w', 'float', [2], undefined, { external })],
  }),
  Constant: (external) => ({
    outputs: [value('y', 'float', [2])],
    nodes: [node('Constant', [], ['y'], { value: attr.tensor(tensor('', 'float', [2], undefined, { external })) })],
  }),
  sparse_initializer: (external) => ({
    outputs: [value('y', 'float', [2])],
    nodes: [node('Identity', ['w'], ['y'])],
    sparseInitializers: [sparse(external)],
  }),
  'Constant.sparse_value': (external) => ({
    outputs: [value('y', 'float', [2])],
    nodes: [node('Constant', [], ['y'], { sparse_value: attr.sparseTensor(sparse(external)) })],
  }),
}

const sparse = (external: ExternalLocation) =>
  sparseTensor(tensor('w', 'float', [2], undefined, { external }), tensor('i', 'int64', [2], [0, 1]), [2])

export const KINDS = Object.keys(GRAPHS) as readonly Kind[]

export const pointing = (kind: Kind, external: ExternalLocation): Uint8Array => writeModel({ graph: GRAPHS[kind](external) })

/** The same tensor in a branch of an If, and in a function. */
export const pointingDeeper = (kind: Kind, external: ExternalLocation): Readonly<Record<string, Uint8Array>> => {
  const branch = { ...GRAPHS[kind](external), name: 'branch' }
  const root = branch.outputs?.map(() => value('y', 'float', [2])) ?? []
  const inFunction = GRAPHS[kind](external).nodes ?? []
  return {
    'an If': writeModel({
      graph: {
        inputs: [value('c', 'bool', [])],
        outputs: root,
        nodes: [node('If', ['c'], ['y'], { then_branch: attr.graph(branch), else_branch: attr.graph(branch) })],
      },
    }),
    // Functions have no initializers.
    ...(kind.startsWith('Constant')
      ? {
          'a function': writeModel({
            opsets: { '': 17, own: 1 },
            functions: [modelFunction({ domain: 'own', name: 'F', inputs: [], outputs: ['y'], nodes: inFunction })],
            graph: { outputs: root, nodes: [node('F', [], ['y'], {}, { domain: 'own' })] },
          }),
        }
      : {}),
  }
}

/**
 * Makes a folder `m` for a model in `dir`, with a secret of eight bytes beside it, and everything that leads to it.
 * @returns by what is tried: where a tensor's data are said to be, and the finding that this is
 */
export function traps(dir: string): Readonly<Record<string, readonly [external: ExternalLocation, id: string]>> {
  const inModel = (name: string): string => join(dir, 'm', name)
  fs.mkdirSync(inModel('folder'), { recursive: true })
  fs.writeFileSync(join(dir, 'secret'), '01234567')
  fs.writeFileSync(inModel('fine'), '01234567')
  fs.symlinkSync(join(dir, 'secret'), inModel('link'))
  fs.symlinkSync(dir, inModel('up'))
  fs.linkSync(join(dir, 'secret'), inModel('hard'))
  fs.symlinkSync('/dev/zero', inModel('zero'))
  execFileSync('mkfifo', [inModel('fifo')])
  const at = (location: string, id: string, more: Omit<ExternalLocation, 'location'> = {}) => [{ location, ...more }, id] as const
  return {
    'one folder up': at('../secret', 'external-location'),
    absolute: at(join(dir, 'secret'), 'external-location'),
    'up in the middle': at('folder/../../secret', 'external-location'),
    backslash: at('..\\secret', 'external-location'),
    'drive letter': at('C:/secret', 'external-location'),
    NUL: at('fine\0.bin', 'external-location'),
    'line break': at('fine\n[E] forged', 'external-location'),
    empty: at('', 'external-location'),
    'nothing but a dot': at('.', 'external-location'),
    'a symbolic link': at('link', 'external-outside'),
    'a folder that is a symbolic link': at('up/secret', 'external-outside'),
    'a link to /dev/zero': at('zero', 'external-outside'),
    '/dev/zero': at('/dev/zero', 'external-location'),
    'a hard link': at('hard', 'external-hard-link'),
    'a folder': at('folder', 'external-special'),
    'a pipe': at('fifo', 'external-special'),
    'an address in memory': at('*/_ORT_MEM_ADDR_/*', 'external-memory'),
    'an address in memory, spelled otherwise': at('./x/_ort_Mem_Addr_/y', 'external-memory'),
    'a file that is not there': at('gone', 'external-missing'),
    'offset -4': at('fine', 'external-range', { offset: -4 }),
    'offset of 2^63-1': at('fine', 'external-range', { offset: '9223372036854775807' }),
    'offset of 2^64': at('fine', 'external-range', { offset: '18446744073709551616' }),
    'offset in hexadecimal': at('fine', 'external-range', { offset: '0x0' }),
    'offset beyond the end': at('fine', 'external-range', { offset: 4 }),
    'length of 10^12': at('fine', 'external-length', { length: 1e12 }),
    'length of half the tensor': at('fine', 'external-length', { length: 4 }),
    'negative length': at('fine', 'external-range', { length: -8 }),
  }
}
