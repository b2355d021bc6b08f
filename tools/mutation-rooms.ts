/** The rooms whose tests a mutation run judges, and the tests that hold each of them. */

export interface Room {
  /** Folder below src/. */
  readonly folder: string
  /** Globs of tests. Only those that cover a mutant run for it. */
  readonly tests: readonly string[]
}

export const ROOMS: Readonly<Record<string, Room>> = {
  scheduler: {
    folder: 'core/scheduler',
    tests: [
      'test/core/scheduler/*.test.ts',
      'test/integration/batching*.test.ts',
      'test/integration/padding*.test.ts',
      'test/integration/neighbours*.test.ts',
    ],
  },
  engine: {
    folder: 'core/engine',
    tests: [
      'test/core/engine/*.test.ts',
      'test/integration/instances*.test.ts',
      'test/integration/process-tier*.test.ts',
      'test/integration/predict*.test.ts',
    ],
  },
  cache: { folder: 'core/cache', tests: ['test/core/cache/*.test.ts', 'test/integration/cache*.test.ts'] },
  integrity: { folder: 'core/integrity', tests: ['test/core/integrity/*.test.ts', 'test/integration/trust*.test.ts'] },
  crypto: { folder: 'core/crypto', tests: ['test/core/crypto/*.test.ts', 'test/integration/encrypted*.test.ts'] },
  registry: {
    folder: 'core/registry',
    tests: [
      'test/core/registry/*.test.ts',
      'test/integration/registry*.test.ts',
      'test/integration/model-files*.test.ts',
      'test/integration/version-labels*.test.ts',
    ],
  },
  lane: { folder: 'adapters/lane', tests: ['test/adapters/lane*.test.ts', 'test/adapters/conformance*.test.ts'] },
  client: { folder: 'client', tests: ['test/client/*.test.ts'] },
}

export interface Part {
  readonly room: Room
  /** Globs of what is mutated. */
  readonly mutate: string
}

/**
 * @param name a room, or a file of it without its ending: `cache`, `cache/key`
 * @throws Error that names the rooms
 */
export function partOf(name: string): Part {
  const [first = '', ...file] = name.split('/')
  const room = Object.hasOwn(ROOMS, first) ? ROOMS[first] : undefined
  if (!room) throw new Error(`unknown: ${name || 'no room'}; rooms are ${Object.keys(ROOMS).join(', ')}`)
  return { room, mutate: `src/${room.folder}/${file.length > 0 ? `${file.join('/')}.ts` : '**/*.ts'}` }
}
