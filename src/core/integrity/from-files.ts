/** Admits models on disk: from the store if it has the very same files, otherwise by a copy into it. */

import { realpath } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { type AdmitRequest, type Admitted, NO_DATA } from './admitted.ts'
import { dataPath, missing } from './beside.ts'
import { type Coverage, expectSigned, integrityOf } from './coverage.ts'
import { listFiles } from './files.ts'
import { hashFiles } from './hash-thread.ts'
import type { Judge } from './judge.ts'
import { type ManifestFile, manifestIdOf } from './manifest.ts'
import { refuse } from './refusal.ts'
import type { Store, Stored } from './store.ts'
import { checkNames } from './verify.ts'

export type AdmitFiles = (request: AdmitRequest, source: string, coverage: Coverage | undefined) => Promise<Admitted>

interface Deps {
  readonly store: Store
  readonly judge: Judge
  /** Names of the files that a model keeps weights in. */
  dataNamesOf(source: string): Promise<readonly string[]>
  /** For tests: the files were hashed, and nothing has been loaded yet. */
  hashed?(): Promise<void> | void
}

/** The files of one model, where they lie. */
interface Place {
  readonly request: AdmitRequest
  readonly coverage: Coverage | undefined
  /** Folder of the model, and its own file. */
  readonly root: string
  readonly main: string
  /** Compares a file that is loaded with what was signed. */
  check(name: string, sha256: string): void
}

export function createAdmitFiles({ store, judge, dataNamesOf, hashed }: Deps): AdmitFiles {
  /** Files hashed before, untouched since, and still in the store. */
  async function stillStored({ request, coverage, root, main, check }: Place): Promise<Stored | undefined> {
    const seen = await store.seen(main)
    if (!seen?.dataNames) return undefined
    const files: ManifestFile[] = [{ name: '.', sha256: seen.sha256, size: seen.size }]
    for (const name of seen.dataNames) {
      const data = await store.seen(await dataPath(root, name, coverage?.signed))
      if (!data) return undefined
      files.push({ name, sha256: data.sha256, size: data.size })
    }
    const manifestId = manifestIdOf(files)
    for (const { name, sha256 } of files) check(name, sha256)
    await judge(request, manifestId, coverage)
    return store.find(manifestId)
  }

  /** @param as name of the model's own file in the store */
  async function copyIn({ request, coverage, root, main, check }: Place, as: string): Promise<Stored> {
    const staging = await store.stage()
    try {
      const model = await staging.add('.', as, main)
      // Only models from trusted signers are opened.
      check('.', model.sha256)
      const dataNames = await dataNamesOf(staging.path(as))
      const files: ManifestFile[] = [{ name: '.', ...model }]
      for (const name of dataNames) {
        const path = await dataPath(root, name, coverage?.signed)
        const data = await staging.add(name, name, path)
        check(name, data.sha256)
        await store.remember(path, data)
        files.push({ name, ...data })
      }
      await store.remember(main, model, dataNames)
      await judge(request, manifestIdOf(files), coverage)
      return await staging.commit()
    } catch (error) {
      await staging.discard()
      throw error
    }
  }

  async function checkOthers(others: ReadonlyMap<string, string>, coverage: Coverage | undefined): Promise<void> {
    for (const [name, path] of others) {
      let sha256 = (await store.seen(path))?.sha256
      if (sha256 === undefined) {
        const [hashed] = await hashFiles([{ path }])
        if (hashed) await store.remember(path, hashed)
        sha256 = hashed?.sha256 ?? ''
      }
      expectSigned(coverage, name, name, sha256)
    }
  }

  return async (request, source, coverage) => {
    const root = await realpath(dirname(source)).catch(missing(source))
    const isOfFolder = coverage !== undefined && !coverage.isOfOneFile
    const main = isOfFolder ? join(root, basename(source)) : await realpath(source).catch(missing(source))
    const others = isOfFolder ? await filesIn(root, coverage) : new Map<string, string>()
    const nameOf = (name: string): string => (isOfFolder && name === '.' ? basename(source) : name)
    const check = (name: string, sha256: string): void => {
      expectSigned(coverage, nameOf(name), name, sha256)
      others.delete(nameOf(name))
    }
    const place = { request, coverage, root, main, check }
    const stored = (await stillStored(place)) ?? (await copyIn(place, basename(source)))
    await checkOthers(others, coverage)
    await hashed?.()
    return {
      source: stored.source,
      data: NO_DATA,
      integrity: integrityOf(stored.manifestId, coverage),
      doubt: undefined,
      async recheck() {
        await judge(request, stored.manifestId, coverage)
        if (!(await store.find(stored.manifestId))) throw refuse('the model was changed in the store, or taken out of it')
      },
      release: store.hold(stored.manifestId),
    }
  }
}

/** Files of a signed folder that are not loaded must match the signature as well, as they must for every other verifier. */
async function filesIn(root: string, { ignored, statement }: Coverage): Promise<Map<string, string>> {
  const files = await listFiles(root, ignored)
  checkNames(statement.resources, files)
  return new Map(files.map(({ name, path }) => [name, path]))
}
