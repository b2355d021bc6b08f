import { defineConfig } from 'tsup'

const library = {
  index: 'src/index.ts',
  express: 'src/adapters/express.ts',
  fastify: 'src/adapters/fastify.ts',
  node: 'src/adapters/node.ts',
  fetch: 'src/adapters/fetch.ts',
  nestjs: 'src/adapters/nestjs.ts',
  client: 'src/client/index.ts',
  extension: 'src/core/predict/index.ts',
  telemetry: 'src/telemetry/index.ts',
  'telemetry/sdk': 'src/telemetry/sdk.ts',
}

/** What runs in threads and processes of its own: CommonJS like onnxruntime-node itself, started by path, in a folder that can be copied. */
const workers = {
  'workers/worker': 'src/core/engine/worker.ts',
  // Reads large request bodies.
  'workers/decode-worker': 'src/core/decoding/worker.ts',
  // Hashes large model files.
  'workers/hash-worker': 'src/core/integrity/hash-worker.ts',
  'workers/prometheus-worker': 'src/telemetry/prometheus-worker.ts',
}

// An adapter that needs something real of the core imports the package by its name, so that there is one core in the process; its types are
// not built yet at that time.
const external = ['modelmount']

// `clean` stays off: the builds run side by side and would delete each other's output (the script empties dist).
export default defineConfig([
  // No shims: an ES module has no `__filename`, and src/core/host/scripts.ts tells it from CommonJS by that.
  // The command is built with the library: both use the same chunks, so that the package holds its core once per module system.
  { entry: { ...library, cli: 'src/cli/main.ts' }, format: ['esm'], target: 'node20', external },
  { entry: library, format: ['cjs'], target: 'node20', external },
  {
    entry: library,
    format: ['esm', 'cjs'],
    target: 'node20',
    external,
    dts: { only: true, compilerOptions: { paths: { modelmount: ['./src/index.ts'] } } },
    // Apart from the code: tools that follow the files of a package take `.d.cts` for code.
    outDir: 'dist/types',
  },
  // One by one: they share no code, so that each is a file of its own.
  ...Object.entries(workers).map(([name, source]) => ({
    entry: { [name]: source },
    format: ['cjs' as const],
    target: 'node20',
    external: ['onnxruntime-node'],
  })),
])
