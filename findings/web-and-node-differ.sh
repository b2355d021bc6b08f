#!/usr/bin/env bash
# onnxruntime-web and onnxruntime-node of one release answer differently
#
# Versions: onnxruntime-node and onnxruntime-web 1.30.0 (CPU, WebAssembly), model written with onnx 1.23.2, Node 20 or later, Python 3.11.
# Guess: One release of ONNX Runtime gives one answer in the browser and on the server, up to
# rounding.
# Happens: On the CPU provider of both, a float beyond the range of an integer is cast to other
# integers, a seeded RandomNormal draws other numbers, and a float sum of 100,003 tenths differs in
# the fourth digit (9999.03 and 9998.86; exact is 10000.3).
# Matters: A model that was checked in the browser, or a client that predicts ahead of the server,
# disagrees with it. A seed fixes nothing across the two.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip -q --disable-pip-version-check install onnx==1.23.2
npm init -y >package.log
npm install --silent --no-audit --no-fund --ignore-scripts onnxruntime-node@1.30.0 onnxruntime-web@1.30.0 >install.log
env/bin/python - <<'PY'
import onnx
from onnx import parser

def save(name, text, opset=21, extra=""):
    head = f'<ir_version: 10, opset_import: ["" : {opset}{extra}]>\n'
    onnx.save(parser.parse_model(head + text), name + ".onnx")


save("cast", "g (float[N] x) => (int32[N] y) { y = Cast<to=6>(x) }")
save("random", "g (float[N] x) => (float[3] y) { y = RandomNormal<shape=[3], seed=1.0>() }")
save("sum", "g (float[N] x) => (float y) { y = ReduceSum<keepdims=0>(x) }")
PY
ORT_DISABLE_TELEMETRY=1 node --input-type=commonjs - <<'JS'
const ort = require('onnxruntime-node')
const assert = require('node:assert/strict')
const load = (name) => ort.InferenceSession.create(name + '.onnx', { logSeverityLevel: 4 })
const main = async () => {
  const web = require('onnxruntime-web')
  web.env.wasm.numThreads = 1
  const fs = require('node:fs')
  const inputs = { cast: [3e9, NaN], random: [0], sum: new Array(100_003).fill(0.1) }
  for (const [name, values] of Object.entries(inputs)) {
    const answers = []
    for (const [where, runtime] of Object.entries({ cpu: ort, wasm: web })) {
      const options = { executionProviders: [where], intraOpNumThreads: 1 }
      const session = await runtime.InferenceSession.create(fs.readFileSync(name + '.onnx'), options)
      const { y } = await session.run({ x: new runtime.Tensor('float32', values, [values.length]) })
      console.log(name, where, [...y.data])
      answers.push([...y.data])
    }
    assert.notDeepEqual(answers[0], answers[1])
  }
}
main().catch((error) => {
  console.error(error)
  process.exitCode = 1
})
JS
