import { fileURLToPath, pathToFileURL } from 'node:url'

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

/** What runs in threads and processes of its own is the build's; only what runs in the test's process is the sources'. */
const builtWorkers = {
  name: 'built-workers',
  enforce: 'pre',
  transform: (code: string): string =>
    code.replace(
      /(['"])\.\/(workers\/(?:[a-z]+-)?worker\.cjs)\1/g,
      (_, _quote, file) => `'${pathToFileURL(at(`./dist/${file}`))}'`,
    ),
} as const

/** For runs against the sources: the package's names lead to src/ instead of dist/. */
export const onSources = {
  plugins: [builtWorkers],
  alias: [
    { find: /^modelmount$/, replacement: at('./src/index.ts') },
    { find: /^modelmount\/client$/, replacement: at('./src/client/index.ts') },
    { find: /^modelmount\/extension$/, replacement: at('./src/core/predict/index.ts') },
    { find: /^modelmount\/telemetry$/, replacement: at('./src/telemetry/index.ts') },
    { find: /^modelmount\/telemetry\/sdk$/, replacement: at('./src/telemetry/sdk.ts') },
    { find: /^modelmount\/(express|fastify|node|fetch|nestjs)$/, replacement: `${at('./src/adapters')}/$1.ts` },
  ],
}
