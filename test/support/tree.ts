/** Directories of files for one test. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { onTestFinished } from 'vitest'

export type Files = Readonly<Record<string, Uint8Array | string>>

/** Writes files below a directory. */
export function plant(root: string, files: Files): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(join(root, dirname(path)), { recursive: true })
    writeFileSync(join(root, path), content)
  }
}

/** A fresh directory with these files, gone when the running test has finished. */
export function treeFor(files: Files): string {
  const root = mkdtempSync(join(tmpdir(), 'modelmount-test-'))
  onTestFinished(() => rmSync(root, { recursive: true, force: true }))
  plant(root, files)
  return root
}
