/** `npm run generate`: writes the files that are made from the declarations of options; with `--check` it only says which ones differ. */

import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { modelSchema, optionsReference, readDocs } from './options-docs.ts'

const docs = readDocs()
const FILES: Readonly<Record<string, string>> = {
  'model.schema.json': modelSchema(docs),
  'docs/reference/options.md': optionsReference(docs),
}

for (const [name, text] of Object.entries(FILES)) {
  const path = fileURLToPath(new URL(`../${name}`, import.meta.url))
  if (!process.argv.includes('--check')) writeFileSync(path, text)
  else if (readFileSync(path, 'utf8') !== text) {
    console.error(`${name} differs from the declarations of options: npm run generate`)
    process.exitCode = 1
  }
}
