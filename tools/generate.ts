/**
 * `npm run generate`: writes the files that are made from the list of dialects and the declarations of options; with `--check` it only says
 * which ones differ.
 */

import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { DIALECTS } from '../src/core/dialects/index.ts'
import { dialectNames } from './dialect-names.ts'
import { modelSchema, optionsReference, readDocs } from './options-docs.ts'

const isCheck = process.argv.includes('--check')

function put(name: string, text: string): void {
  const path = fileURLToPath(new URL(`../${name}`, import.meta.url))
  if (!isCheck) writeFileSync(path, text)
  else if (readFileSync(path, 'utf8') !== text) {
    console.error(`${name} differs from the list of dialects or the declarations of options: npm run generate`)
    process.exitCode = 1
  }
}

// First, because it has sentences of options, too.
put('src/core/dialects/names.ts', dialectNames(DIALECTS))
const docs = readDocs()
put('model.schema.json', modelSchema(docs))
put('docs/reference/options.md', optionsReference(docs))
