#!/usr/bin/env bash
# ReduceMax and ReduceMin: a NaN hides the right answer
#
# Versions: onnxruntime-node 1.30.0 (CPU, x64), model written with onnx 1.23.2, Node 20 or later, Python 3.11.
# Guess: The answer is NaN, as numpy.max gives it; or the NaN is passed over, as numpy.nanmax does.
# Happens: ReduceMax of [1, NaN, 2, 3] is 2, and ReduceMin of [3, NaN, 2, 1] is 2. Of eight numbers with
# a NaN in second place, the largest in the last place is lost too. ArgMax of the same values finds it.
# Only a NaN in first place gives NaN.
# Matters: One missing reading turns a maximum into another plausible number, and nothing shows it.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip -q --disable-pip-version-check install onnx==1.23.2
npm init -y >package.log
npm install --silent --no-audit --no-fund --ignore-scripts onnxruntime-node@1.30.0 >install.log
env/bin/python - <<'PY'
import onnx
from onnx import parser

def save(name, text, opset=21, extra=""):
    head = f'<ir_version: 10, opset_import: ["" : {opset}{extra}]>\n'
    onnx.save(parser.parse_model(head + text), name + ".onnx")

for op in ["ReduceMax", "ReduceMin"]:
    save(op, "g (float[1,N] x) => (float[1] y) { a = Constant<value_ints=[1]>() y = %s<keepdims=0>(x, a) }" % op)
save("ArgMax", "g (float[1,N] x) => (int64[1] y) { y = ArgMax<axis=1, keepdims=0>(x) }")
PY
ORT_DISABLE_TELEMETRY=1 node --input-type=commonjs - <<'JS'
const ort = require('onnxruntime-node')
const assert = require('node:assert/strict')
const run = async (op, values) => {
  const session = await ort.InferenceSession.create(op + '.onnx', { logSeverityLevel: 4 })
  const { y } = await session.run({ x: new ort.Tensor('float32', values, [1, values.length]) })
  console.log(op, values, '->', y.data[0])
  return Number(y.data[0])
}
const main = async () => {
  assert.equal(await run('ReduceMax', [1, NaN, 2, 3]), 2)
  assert.equal(await run('ReduceMin', [3, NaN, 2, 1]), 2)
  assert.equal(await run('ReduceMax', [0, NaN, 2, 3, 4, 5, 6, 7]), 6)
  assert.equal(await run('ArgMax', [1, NaN, 2, 3]), 3)
  assert.ok(Number.isNaN(await run('ReduceMax', [NaN, 1, 2, 3])))
}
main().catch((error) => {
  console.error(error)
  process.exitCode = 1
})
JS
