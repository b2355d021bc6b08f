/** The permitted imports, read from the import statements. */

import { readdirSync, readFileSync } from 'node:fs'
import { join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { describe, expect, test } from 'vitest'
import { DIALECTS } from '../src/core/dialects/index.ts'

const SRC = fileURLToPath(new URL('../src', import.meta.url))

interface Import {
  /** Path below src of the importing file. */
  readonly from: string
  /** Path below src, or the name of a package. */
  readonly to: string
  readonly isPackage: boolean
  /** Leaves nothing at run time. */
  readonly isType: boolean
}

const files = (readdirSync(SRC, { recursive: true }) as string[])
  .map((file) => file.replaceAll('\\', '/'))
  .filter((file) => file.endsWith('.ts'))
  .sort()
const sourceOf = (file: string): string => readFileSync(join(SRC, file), 'utf8')

function importsOf(file: string): Import[] {
  const found: Import[] = []
  const add = (specifier: ts.Node | undefined, isType: boolean): void => {
    if (!specifier || !ts.isStringLiteralLike(specifier)) return
    const isPackage = !specifier.text.startsWith('.')
    const to = isPackage ? specifier.text : posix.normalize(posix.join(posix.dirname(file), specifier.text))
    found.push({ from: file, to, isPackage, isType })
  }
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) {
      const bindings = node.importClause?.namedBindings
      const named = bindings && ts.isNamedImports(bindings) ? bindings.elements : []
      const onlyTypes = named.length > 0 && !node.importClause?.name && named.every((element) => element.isTypeOnly)
      add(node.moduleSpecifier, node.importClause?.isTypeOnly === true || onlyTypes)
    } else if (ts.isExportDeclaration(node)) add(node.moduleSpecifier, node.isTypeOnly)
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node.argument.literal, true)
    else if (ts.isCallExpression(node)) {
      const called = node.expression.getText()
      // import('x'), require('x'), createRequire(…)('x'), requireFromScripts()('x'), importPackage('x'); require.resolve only asks where it is.
      if (
        node.expression.kind === ts.SyntaxKind.ImportKeyword ||
        /(^|\.)require$|^createRequire\(|^requireFromScripts\(\)$|^(import|requireFrom)Package$/.test(called)
      )
        if (!called.endsWith('.resolve')) add(node.arguments[0], false)
    }
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile(file, sourceOf(file), ts.ScriptTarget.ES2022, true))
  return found
}

/** Without comments. */
function codeOf(file: string): string {
  const source = ts.createSourceFile(file, sourceOf(file), ts.ScriptTarget.ES2022, true)
  return ts.createPrinter({ removeComments: true }).printFile(source)
}

const imports = files.flatMap(importsOf)
const shown = ({ from, to, isType }: Import): string => `${from} -> ${to}${isType ? ' (types)' : ''}`
const breaches = (isBreach: (entry: Import) => boolean): string[] => imports.filter(isBreach).map(shown)

function circlesOf(arrows: readonly Pick<Import, 'from' | 'to'>[]): string[] {
  const next = new Map<string, string[]>()
  for (const { from, to } of arrows) next.set(from, [...(next.get(from) ?? []), to])
  const circles: string[] = []
  const done = new Set<string>()
  const walk = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) circles.push([...path.slice(path.indexOf(file)), file].join(' -> '))
    if (path.includes(file) || done.has(file)) return
    for (const to of next.get(file) ?? []) walk(to, [...path, file])
    done.add(file)
  }
  for (const file of next.keys()) walk(file, [])
  return circles
}

/** `core/tensor/dims.ts` is in the room `core/tensor`, `core/server.ts` is the room `core/server`. Dialects share a room of its own. */
const roomOf = (file: string): string => {
  const [top = '', room = ''] = file.split('/')
  if (file.startsWith('core/dialects/codec/')) return 'core/dialects/codec'
  return top === 'core' ? `core/${room.replace(/\.ts$/, '')}` : top
}

/** Re-exports the public types of all rooms. */
const BARREL = 'core/types.ts'

/** Public types, in the room that owns them. Every room may know those of all others: a circle of them is refused below. */
const isPublicTypes = ({ to, isType }: Import): boolean => isType && /^core\/[^/]+\/types\.ts$/.test(to)

/** Where a room declares its options. */
const isOptions = (file: string): boolean =>
  /^core\/[^/]+\/(session-)?options\.ts$|^core\/dialects\/[^/]+\/options\.ts$/.test(file)

/** How options are declared. */
const DECLARING = ['core/options/kinds.ts', 'core/options/refuse.ts']

/**
 * Rooms declare their options with the same words, one builds on another's, and `core/options` puts all of them together. A circle of them is
 * refused below.
 */
const isDeclaring = ({ from, to }: Import): boolean =>
  (isOptions(from) || roomOf(from) === 'core/options') && (isOptions(to) || DECLARING.includes(to))

/**
 * The rooms that each room of the core may import, besides public types; `types` in brackets means that nothing of it remains at run time.
 * A room that is not named here may import nothing, so a new one is a decision.
 */
const KNOWS: Readonly<Record<string, readonly string[]>> = {
  'core/host': ['dialects/codec (types)', 'errors', 'telemetry (types)'],
  'core/predict': [
    'engine (types)',
    'errors',
    'host',
    'model',
    'options',
    'registry (types)',
    'sequences',
    'telemetry (types)',
    'tensor',
  ],
  'core/errors': ['host'],
  'core/version': [],
  'core/telemetry': ['errors', 'host (types)', 'model (types)'],
  'core/tensor': ['errors', 'host'],
  'core/onnx': ['errors', 'host', 'integrity', 'tensor'],
  'core/decoding': ['dialects', 'dialects/codec', 'errors', 'host', 'tensor'],
  'core/dialects/codec': ['errors', 'tensor'],
  'core/dialects': [
    'dialects/codec',
    'errors',
    'model (types)',
    'openapi',
    'options (types)',
    'predict (types)',
    'registry (types)',
    'tensor',
    'version',
  ],
  'core/cache': ['errors', 'host', 'telemetry (types)', 'tensor'],
  'core/integrity': ['errors', 'host'],
  'core/crypto': ['errors', 'host', 'integrity', 'onnx'],
  'core/registry': ['errors', 'host', 'options', 'predict (types)', 'tensor'],
  // The child in which models are tried is a worker.
  'core/engine': ['errors', 'host', 'onnx', 'tensor', 'trial'],
  'core/scheduler': ['engine (types)', 'errors', 'host', 'telemetry (types)', 'tensor'],
  'core/sequences': ['engine (types)', 'errors', 'host', 'scheduler', 'tensor'],
  'core/openapi': ['dialects', 'http (types)', 'tensor'],
  'core/options': ['errors', 'predict', 'registry (types)'],
  'core/trial': ['engine', 'errors', 'host', 'options (types)', 'scheduler', 'tensor'],
  'core/model': [
    'cache',
    'engine',
    'errors',
    'host',
    'integrity',
    'onnx',
    'options',
    'predict (types)',
    'registry (types)',
    'scheduler',
    'sequences',
    'telemetry (types)',
    'tensor',
    'trial',
    'version',
  ],
  'core/http': ['decoding (types)', 'dialects', 'errors', 'host', 'predict', 'telemetry (types)', 'tensor'],
}

/** Rooms with an inside of their own, and the files that are their doors. */
const DOORS: Readonly<Record<string, readonly string[]>> = {
  'core/tensor': ['core/tensor/index.ts'],
  // Patches travel to workers, which hold no reader of graphs.
  'core/onnx': ['core/onnx/index.ts', 'core/onnx/splice.ts'],
  // Adapters get names and paths without the dialects themselves.
  'core/dialects': ['core/dialects/index.ts', 'core/dialects/names.ts'],
  'core/cache': ['core/cache/index.ts'],
  'core/integrity': ['core/integrity/index.ts'],
  'core/crypto': ['core/crypto/index.ts'],
  'core/http': ['core/http/index.ts'],
  'core/decoding': ['core/decoding/index.ts'],
  'core/telemetry': ['core/telemetry/index.ts'],
  'core/sequences': ['core/sequences/index.ts'],
}

/** The worker runs models; the host runs those of microseconds. */
const ORT_USERS = ['core/engine/worker.ts', 'core/engine/inline/session.ts']

test('the reader of imports reads', () => {
  expect(imports.length).toBeGreaterThan(80)
  expect(imports).toContainEqual({ from: 'core/engine/worker.ts', to: 'onnxruntime-node', isPackage: true, isType: false })
  expect(imports).toContainEqual({ from: 'adapters/express.ts', to: 'express', isPackage: true, isType: true })
  expect(imports).toContainEqual({ from: 'cli/carriers.ts', to: 'express', isPackage: true, isType: false })
  expect(imports).toContainEqual({ from: 'index.ts', to: 'core/server.ts', isPackage: false, isType: false })
  expect(imports).toContainEqual({ from: 'index.ts', to: 'core/types.ts', isPackage: false, isType: true })
  // Every relative import names a file that is there, with its ending.
  expect(breaches(({ to, isPackage }) => !isPackage && !files.includes(to))).toEqual([])
})

describe('packages', () => {
  test('Node’s own modules are named as such', () => {
    const plain = new Set([
      'assert',
      'child_process',
      'crypto',
      'events',
      'fs',
      'fs/promises',
      'http',
      'module',
      'net',
      'os',
      'path',
      'stream',
      'url',
      'util',
      'worker_threads',
    ])
    expect(breaches(({ to, isPackage }) => isPackage && plain.has(to))).toEqual([])
  })

  test('only the worker knows ONNX Runtime, and the session on the host for runs of microseconds', () => {
    expect(breaches(({ from, to }) => /^onnxruntime/.test(to) && !ORT_USERS.includes(from))).toEqual([])
  })

  test('the host loads ONNX Runtime only when a model is to run there, through its door, and patches nothing for it', () => {
    const [, session = ''] = ORT_USERS
    const real = imports.filter(({ from, to, isType }) => from === session && to === 'onnxruntime-node' && !isType)
    expect(real).toHaveLength(1)
    expect(codeOf(session)).toMatch(/function openHostSession\([\s\S]*requireFromScripts\(\)\('onnxruntime-node'\)/)
    expect(codeOf(session)).not.toMatch(/globalThis|setImmediate|onnxruntime-node\/|env\.logLevel/)
  })

  test('only the child in which models are tried makes inputs up', () => {
    const makers = ['samples', 'refute', 'try'].map((name) => `core/trial/${name}.ts`)
    const allowed = [...makers, 'core/trial/rows.ts', 'core/engine/worker.ts']
    expect(breaches(({ from, to, isType }) => makers.includes(to) && !isType && !allowed.includes(from))).toEqual([])
  })

  test('only the cache knows lru-cache', () => {
    expect(breaches(({ from, to }) => to === 'lru-cache' && roomOf(from) !== 'core/cache')).toEqual([])
  })

  test('only telemetry knows OpenTelemetry, and all of it but the SDK’s bootstrap only the API', () => {
    const bootstrap = [
      'families.ts',
      'producer.ts',
      'sampling.ts',
      'sdk-parts.ts',
      'sdk.ts',
      'otlp.ts',
      'prometheus.ts',
      'prometheus-names.ts',
      'prometheus-worker.ts',
      'prometheus-writer.ts',
    ].map((file) => `telemetry/${file}`)
    expect(
      breaches(
        ({ from, to }) =>
          to.startsWith('@opentelemetry/') &&
          !bootstrap.includes(from) &&
          !(to === '@opentelemetry/api' && from.startsWith('telemetry/')),
      ),
    ).toEqual([])
  })

  test('the core knows no other package at all', () => {
    expect(
      breaches(
        ({ from, to, isPackage }) =>
          from.startsWith('core/') &&
          isPackage &&
          !to.startsWith('node:') &&
          to !== 'lru-cache' &&
          !(to === 'sigstore' && from === 'core/integrity/keyless.ts') &&
          !(to.startsWith('@aws-crypto/') && roomOf(from) === 'core/crypto') &&
          !ORT_USERS.includes(from),
      ),
    ).toEqual([])
  })

  test('an adapter knows only the types of its own framework, but for what it cannot be made without', () => {
    // The decorators of Nest are functions, and its module makes a server: of the core that the app has, hence by the name of the package.
    const NEST = ['@nestjs/common', '@nestjs/core', 'modelmount']
    const isReal = ({ from, to }: Import): boolean =>
      (from === 'adapters/fastify.ts' && to === 'fastify-plugin') || (from.startsWith('adapters/nestjs/') && NEST.includes(to))
    expect(
      breaches(
        (entry) =>
          entry.from.startsWith('adapters/') &&
          entry.isPackage &&
          !entry.to.startsWith('node:') &&
          !(entry.isType && entry.from === `adapters/${entry.to}.ts`) &&
          !isReal(entry),
      ),
    ).toEqual([])
  })
})

describe('rooms', () => {
  test('telemetry knows the types of the core, its errors (recognised by brand), its version and where its scripts lie; only the command knows telemetry', () => {
    const shared = ['core/errors.ts', 'core/version.ts', 'core/host/packages.ts', 'core/host/scripts.ts']
    expect(
      breaches(
        ({ from, to, isPackage, isType }) =>
          from.startsWith('telemetry/') &&
          !isPackage &&
          !to.startsWith('telemetry/') &&
          !shared.includes(to) &&
          !(isType && to.startsWith('core/')),
      ),
    ).toEqual([])
    expect(breaches(({ from, to }) => to.startsWith('telemetry/') && !/^(telemetry|cli)\//.test(from))).toEqual([])
  })

  test('the core knows nothing outside itself', () => {
    expect(breaches(({ from, to, isPackage }) => from.startsWith('core/') && !isPackage && !to.startsWith('core/'))).toEqual([])
  })

  test('adapters know types and names of the core and each other, nothing else: a CommonJS build would hold the core twice', () => {
    const isKnown = ({ to, isType }: Import): boolean => (isType && to.startsWith('core/')) || to === 'core/dialects/names.ts'
    expect(
      breaches(
        (entry) => entry.from.startsWith('adapters/') && !entry.isPackage && !entry.to.startsWith('adapters/') && !isKnown(entry),
      ),
    ).toEqual([])
    // A list of names, and nothing that would come with it.
    expect(breaches(({ from, isType }) => from === 'core/dialects/names.ts' && !isType)).toEqual([])
  })

  test('a dialect is known to its own folder, to the list and to the file that is written from it', () => {
    const LIST = ['core/dialects/index.ts', 'core/dialects/names.ts']
    const names = DIALECTS.map(({ name }) => name)
    const folderOf = (file: string): string | undefined => names.find((name) => file.startsWith(`core/dialects/${name}/`))
    expect(
      breaches(({ from, to }) => folderOf(to) !== undefined && folderOf(from) !== folderOf(to) && !LIST.includes(from)),
    ).toEqual([])
    // The client speaks one of them, and telemetry has the names that Triton and KServe give to metrics.
    const judged = files.filter((file) => !/^(?:client|telemetry)\//.test(file) && !folderOf(file) && !LIST.includes(file))
    const words = new RegExp(names.map((name) => name.replace('-', '[-_]?')).join('|'), 'i')
    expect(words.test('const openInference = 1')).toBe(true)
    expect(judged.filter((file) => words.test(codeOf(file)))).toEqual([])
  })

  test('each room of the core knows what it may, and only the server knows all', () => {
    const isAllowed = (entry: Import): boolean => {
      const { from, to, isPackage, isType } = entry
      const [room, other] = [roomOf(from), roomOf(to)]
      if (isPackage || !from.startsWith('core/') || room === other || room === 'core/server') return true
      if (isPublicTypes(entry) || isDeclaring(entry) || from === BARREL) return true
      const name = other.replace('core/', '')
      return (KNOWS[room]?.includes(name) ?? false) || (isType && (KNOWS[room]?.includes(`${name} (types)`) ?? false))
    }
    expect(breaches((entry) => !isAllowed(entry))).toEqual([])
    // No permission outlives its use.
    const judged = imports.filter((entry) => !entry.isPackage && !isDeclaring(entry))
    const used = new Set(judged.map(({ from, to }) => `${roomOf(from)} ${roomOf(to)}`))
    const unused = Object.entries(KNOWS).flatMap(([room, names]) =>
      names.map((name) => `${room} core/${name.replace(' (types)', '')}`).filter((pair) => !used.has(pair)),
    )
    expect(unused).toEqual([])
  })

  test('the client knows of the core what needs no server: errors, signals, tensors, printable text, JSON with long integers', () => {
    const known = [
      'core/errors.ts',
      'core/host/abort.ts',
      'core/host/printable.ts',
      'core/tensor/index.ts',
      'core/dialects/codec/index.ts',
    ]
    expect(
      breaches(
        (entry) =>
          entry.from.startsWith('client/') &&
          (entry.isPackage || !(entry.to.startsWith('client/') || known.includes(entry.to) || isPublicTypes(entry))),
      ),
    ).toEqual([])
  })

  test('rooms are entered by their doors, and their public types by their own file', () => {
    expect(
      breaches((entry) => {
        const { from, to, isPackage } = entry
        const doors = DOORS[roomOf(to)]
        return (
          !isPackage &&
          doors !== undefined &&
          roomOf(from) !== roomOf(to) &&
          !doors.includes(to) &&
          !isPublicTypes(entry) &&
          !isDeclaring(entry)
        )
      }),
    ).toEqual([])
  })

  test('the engine knows of ONNX files what a patch is, and no reader of graphs', () => {
    expect(
      breaches((entry) => {
        const isReader = roomOf(entry.to) === 'core/onnx' && entry.to !== 'core/onnx/splice.ts' && !isPublicTypes(entry)
        return roomOf(entry.from) === 'core/engine' && isReader
      }),
    ).toEqual([])
  })

  test('only the public index imports all types at once', () => {
    expect(breaches(({ from, to }) => to === BARREL && from !== 'index.ts')).toEqual([])
  })

  test('nobody imports the command, the public index or the server, but the command and the index', () => {
    expect(
      breaches(
        ({ from, to, isPackage }) => !isPackage && (to.startsWith('cli/') || to === 'index.ts') && !from.startsWith('cli/'),
      ),
    ).toEqual([])
    expect(breaches(({ from, to }) => to === 'core/server.ts' && from !== 'index.ts' && !from.startsWith('cli/'))).toEqual([])
  })

  test('no circles, types included', () => {
    expect(
      circlesOf([
        { from: 'a', to: 'b' },
        { from: 'b', to: 'c' },
        { from: 'c', to: 'b' },
      ]),
    ).toEqual(['b -> c -> b'])
    expect(circlesOf(imports.filter(({ isPackage }) => !isPackage))).toEqual([])
  })

  test('there is no room for odds and ends', () => {
    expect(files.filter((file) => /(^|\/)(utils?|common|helpers?|misc)(\/|\.ts$)/.test(file))).toEqual([])
  })
})

describe('errors', () => {
  /** The worker's own failures travel as text and become our errors at the host. */
  const BARE_ALLOWED = new Set(['core/engine/worker.ts'])
  /** Classes that never leave their room: the command's wrong use, and the ONNX reader's way out. */
  const OWN_CLASSES = new Set(['core/errors.ts', 'core/onnx/malformed.ts', 'cli/command.ts'])
  const BARE =
    /\b(?:throw\s+new|reject\(\s*new)\s+(?:Error|TypeError|RangeError|SyntaxError|EvalError|URIError|AggregateError|DOMException)\b/

  test('nothing throws a bare Error out of a room', () => {
    expect(BARE.test('throw new Error(')).toBe(true)
    expect(files.filter((file) => BARE.test(sourceOf(file)) && !BARE_ALLOWED.has(file))).toEqual([])
    expect(files.filter((file) => /\bextends\s+\w*Error\b/.test(sourceOf(file)) && !OWN_CLASSES.has(file))).toEqual([])
  })

  test('Malformed stays inside the ONNX reader', () => {
    expect(breaches(({ from, to }) => to === 'core/onnx/malformed.ts' && roomOf(from) !== 'core/onnx')).toEqual([])
  })

  test('our errors are told by their brand, never by instanceof, outside the core', () => {
    expect(files.filter((file) => !file.startsWith('core/') && /instanceof\s+ModelmountError/.test(sourceOf(file)))).toEqual([])
  })
})
