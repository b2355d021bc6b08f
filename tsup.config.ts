import { defineConfig } from 'tsup'

// `clean` stays off: the builds run side by side and would delete each other's output (the script empties dist).
export default defineConfig([
  {
    entry: {
      index: 'src/index.ts',
      express: 'src/adapters/express.ts',
      fastify: 'src/adapters/fastify.ts',
      node: 'src/adapters/node.ts',
      fetch: 'src/adapters/fetch.ts',
      nestjs: 'src/adapters/nestjs.ts',
      client: 'src/client/index.ts',
      telemetry: 'src/telemetry/index.ts',
      'telemetry/sdk': 'src/telemetry/sdk.ts',
    },
    format: ['esm', 'cjs'],
    // An adapter that needs something real of the core imports the package by its name, so that there is one core in the process; its types
    // are not built yet at that time.
    external: ['modelmount'],
    dts: { compilerOptions: { paths: { modelmount: ['./src/index.ts'] } } },
    shims: true,
    target: 'node20',
  },
  { entry: { cli: 'src/cli/main.ts' }, format: ['esm'], shims: true, target: 'node20', external: ['modelmount'] },
  // One worker artefact, always CommonJS like onnxruntime-node itself; both tiers start it by path.
  { entry: { 'telemetry/prometheus-worker': 'src/telemetry/prometheus-worker.ts' }, format: ['cjs'], target: 'node20' },
  { entry: { worker: 'src/core/engine/worker.ts' }, format: ['cjs'], target: 'node20', external: ['onnxruntime-node'] },
  // The thread that reads large request bodies.
  { entry: { 'decode-worker': 'src/core/decoding/worker.ts' }, format: ['cjs'], target: 'node20' },
  // The thread that hashes large model files.
  { entry: { 'hash-worker': 'src/core/integrity/hash-worker.ts' }, format: ['cjs'], target: 'node20' },
])
