/**
 * `npm run bench [-- name ...]`: runs the benches, prints one table, writes it as JSON, and fails when a promise is not kept.
 * `npm run bench -- --compare`: prints what earlier runs on several versions of Node have written, side by side.
 * `npm run bench -- --against DIR [part ...]`: this build and another checkout's in turns.
 */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseAgainst, runAgainst } from './against/index.ts'
import { BENCHES } from './lib/benches.ts'
import { startChild } from './lib/child.ts'
import { compare, type Results } from './lib/compare.ts'
import type { Bench, Row } from './lib/row.ts'
import { table } from './lib/table.ts'

const ROOT = fileURLToPath(new URL('../', import.meta.url))
const DIR = fileURLToPath(new URL('../.bench/', import.meta.url))
/** Time limit of all benches together. A bench that has not run by then has failed. */
const BUDGET_S = 600

const failed = (bench: Bench, error: unknown): Row => ({
  bench: bench.name,
  what: bench.name,
  ours: '-',
  rival: '-',
  ratio: undefined,
  floor: 'to finish',
  goal: '',
  met: undefined,
  pass: false,
  pairs: 0,
  unsteady: 0,
  how: '-',
  note: error instanceof Error ? error.message : String(error),
})

async function runBench(bench: Bench, limitS: number): Promise<Row[]> {
  const child = startChild<string, Row[]>('children/bench.ts')
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`took longer than ${limitS} s`)), limitS * 1000)
  })
  try {
    return await Promise.race([child.ask(bench.name), late])
  } catch (error) {
    return [failed(bench, error)]
  } finally {
    clearTimeout(timer)
    await child.stop()
  }
}

function chosen(names: readonly string[]): readonly Bench[] {
  const unknown = names.filter((name) => !BENCHES.some((bench) => bench.name === name))
  if (unknown.length > 0) {
    console.error(`unknown: ${unknown.join(', ')}; known are ${BENCHES.map((bench) => bench.name).join(', ')}`)
    process.exit(2)
  }
  return names.length === 0 ? BENCHES : BENCHES.filter((bench) => names.includes(bench.name))
}

const major = (version: string): string => version.replace(/^v(\d+).*/, '$1')

async function runAll(names: readonly string[]): Promise<boolean> {
  const start = performance.now()
  const rows: Row[] = []
  for (const bench of chosen(names)) {
    const before = performance.now()
    process.stderr.write(`${bench.name} ...`)
    const left = BUDGET_S - Math.round((before - start) / 1000)
    if (left > 0) rows.push(...(await runBench(bench, Math.min(bench.limitS, left))))
    else rows.push(failed(bench, `no time is left of ${BUDGET_S} s`))
    process.stderr.write(` ${((performance.now() - before) / 1000).toFixed(0)} s\n`)
  }
  const seconds = Math.round((performance.now() - start) / 1000)
  const results: Results = { node: process.version, cpus: availableParallelism(), seconds, rows }
  console.log(
    `\nNode ${results.node}, ${results.cpus} CPUs, ${seconds} s. Ratios are ours / theirs, medians of interleaved pairs.\n`,
  )
  console.log(table(rows))
  // Some benches do not replace the results of all.
  const file = `${DIR}results-node${major(process.version)}${names.length > 0 ? '-some' : ''}.json`
  mkdirSync(DIR, { recursive: true })
  writeFileSync(file, `${JSON.stringify(results, null, 2)}\n`)
  console.log(`\nwritten to ${file}`)
  return rows.every(({ pass }) => pass !== false)
}

function showComparison(): boolean {
  const { text, pass } = compare(DIR)
  console.log(text)
  return pass
}

async function against(args: readonly string[]): Promise<boolean> {
  try {
    mkdirSync(DIR, { recursive: true })
    return await runAgainst(parseAgainst(args), ROOT, DIR)
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    return false
  }
}

async function main(args: readonly string[]): Promise<boolean> {
  if (args.includes('--against')) return against(args)
  return args[0] === '--compare' ? showComparison() : runAll(args)
}

// Proofs that an earlier run has kept must not decide.
const cache = mkdtempSync(join(tmpdir(), 'modelmount-bench-cache-'))
process.env.XDG_CACHE_HOME = cache
process.on('exit', () => rmSync(cache, { recursive: true, force: true }))

process.exitCode = (await main(process.argv.slice(2))) ? 0 : 1
