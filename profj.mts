import { readLargeJson } from './src/core/protocol/large-json.ts'
const n = 150528
for (const [what, digits] of [['6 decimals', 6], ['17 digits', 17]] as const) {
  const make = () => Array.from({ length: n }, () => { const v = Math.fround(Math.random() * 2 - 1); return digits === 6 ? v.toFixed(6) : String(v) })
  const bodies = Array.from({ length: 4 }, () => Buffer.from(`{"inputs":[{"name":"x","shape":[1,${n}],"datatype":"FP32","data":[${make().join(',')}]}]}`))
  const ours = async (b: Buffer) => ((await readLargeJson(b, 1e9)) as any).inputs[0].data
  const rival = async (b: Buffer) => Float32Array.from(JSON.parse(b.toString('utf8')).inputs[0].data)
  const time = async (f: any) => { const s = process.cpuUsage().user; for (let i = 0; i < 12; i++) await f(bodies[i % 4]!); return (process.cpuUsage().user - s) / 12 }
  await time(ours); await time(rival)
  const r: number[] = []
  for (let i = 0; i < 5; i++) { const a = await time(rival), b = await time(ours); r.push(a / b) }
  console.log(process.version, what, r.map((x) => x.toFixed(2)).join(' '))
}
const big = Buffer.from(`{"inputs":[{"name":"x","shape":[2000000],"datatype":"FP32","data":[${Array.from({ length: 2e6 }, () => (Math.random() * 2 - 1).toFixed(7)).join(',')}]}]}`)
let last = performance.now(), worst = 0
const tick = () => { const now = performance.now(); worst = Math.max(worst, now - last); last = now; if (!done) setImmediate(tick) }
let done = false
for (let i = 0; i < 2; i++) { done = false; last = performance.now(); worst = 0; setImmediate(tick); const s = performance.now(); await readLargeJson(big, 1e9); done = true; console.log('20 MB', (big.length / 1e6).toFixed(1), 'MB total', (performance.now() - s).toFixed(0), 'worst stall', worst.toFixed(1)) }
const s = performance.now(); JSON.parse(big.toString('utf8')); console.log('JSON.parse stall', (performance.now() - s).toFixed(0))
