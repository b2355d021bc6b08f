/** `modelmount typegen`: types of the models of a repository, so that a wrong input does not compile. */

import { once } from 'node:events'
import { type FSWatcher, watch } from 'node:fs'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { isModelmountError, ModelmountError } from '../../core/errors.ts'
import { systemClock } from '../../core/host/clock.ts'
import { type Command, parse, UsageError } from '../command.ts'
import { complain, print } from '../output.ts'
import { collect } from './collect.ts'
import { render } from './render.ts'
import { createWatch } from './watch.ts'

export const typegenCommand: Command = {
  usage: `  modelmount typegen DIR [-o FILE] [--check | --watch]
      Writes what the models of a repository take and give as TypeScript types for predict().`,
  options: `Options of typegen:
  -o, --out FILE      where to write them                              (default modelmount.d.ts)
  --check             write nothing, exit with 1 when FILE is not up to date
  --watch             write again whenever a model changes, until SIGTERM`,
  async run(argv) {
    const { values, positionals } = parse(argv, {
      out: { type: 'string', short: 'o', default: 'modelmount.d.ts' },
      check: { type: 'boolean', default: false },
      watch: { type: 'boolean', default: false },
    })
    const [directory, ...more] = positionals
    if (directory === undefined || more.length > 0) throw new UsageError('typegen takes one DIR')
    const out = String(values.out)
    if (!/\.ts$/.test(out)) throw new UsageError(`--out must be a .ts file, got '${out}'`)
    if (values.check && values.watch) throw new UsageError('--check and --watch do not go together')
    if (values.check) return check(directory, out)
    if (!values.watch) return generate(directory, out)
    return watchAll(directory, out)
  },
}

async function textFor(directory: string): Promise<{ readonly text: string; readonly count: number }> {
  const collected = await collect(directory)
  for (const { name, reason } of collected.skipped) complain(`${name} is left out: ${reason}`)
  for (const { path, reason } of collected.ignored) complain(`${path} is left out: ${reason}`)
  return { text: render(collected), count: collected.models.length }
}

const contentOf = (file: string): Promise<string | undefined> => readFile(file, 'utf8').catch(() => undefined)

/** Writes only changes, and all at once: a compiler that watches the file must not see half of it. */
async function generate(directory: string, out: string): Promise<number> {
  const { text, count } = await textFor(directory)
  const isNew = (await contentOf(out)) !== text
  if (isNew) await replace(out, text)
  print(`${out}: ${count} ${count === 1 ? 'model' : 'models'}${isNew ? '' : ', unchanged'}`)
  return 0
}

async function replace(file: string, text: string): Promise<void> {
  const partial = `${file}.${process.pid}.tmp`
  try {
    await mkdir(dirname(file), { recursive: true })
    await writeFile(partial, text)
    await rename(partial, file)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw new ModelmountError('OPTIONS_INVALID', `'${file}' cannot be written (${code})`, { details: { field: 'out' }, cause })
  }
}

async function check(directory: string, out: string): Promise<number> {
  const { text } = await textFor(directory)
  if ((await contentOf(out)) === text) return 0
  complain(`${out} is not up to date; run: modelmount typegen ${directory} -o ${out}`)
  return 1
}

/** A model that is broken for the moment leaves the file unchanged. */
async function watchAll(directory: string, out: string): Promise<number> {
  const ended = Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')])
  const watching = createWatch(systemClock, () =>
    generate(directory, out).then(
      () => {},
      (error: unknown) => complain(isModelmountError(error) ? `${error.message} (${error.code})` : String(error)),
    ),
  )
  // Before the first look, so that nothing changes unseen after it.
  const watcher = watchTree(directory, watching.changed)
  watching.begin()
  await ended
  watcher.close()
  await watching.close()
  return 0
}

function watchTree(directory: string, changed: () => void): FSWatcher {
  try {
    return watch(directory, { recursive: true }, changed).on('error', (error) => complain(`watching stopped: ${error.message}`))
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw new ModelmountError('OPTIONS_INVALID', `'${directory}' cannot be watched (${code})`, {
      details: { field: 'DIR' },
      cause,
    })
  }
}
