#!/usr/bin/env bash
# Unique: one NaN is counted as the smallest value
#
# Versions: onnxruntime-node 1.30.0 (CPU), model written with onnx 1.23.2, Node 20 or later, Python 3.11.
# Guess: Unique treats NaN as a value of its own, as numpy.unique does, or as several.
# Happens: Unique(sorted=1) of [1, 2, 3, NaN] gives the values [1, 2, 3]; the inverse indices and the
# counts say that the NaN was a 1. In [3, 1, NaN, 2, 5] it becomes a 1 again.
# Matters: Missing readings raise the count of a real category. Nothing in the answer shows it.
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

save("m", "g (float[N] x) => (float[M] y, int64[M] i, int64[N] inverse, int64[M] counts) { y, i, inverse, counts = Unique(x) }")
PY
ORT_DISABLE_TELEMETRY=1 node --input-type=commonjs - <<'JS'
const ort = require('onnxruntime-node')
const assert = require('node:assert/strict')
const load = (name) => ort.InferenceSession.create(name + '.onnx', { logSeverityLevel: 4 })
const main = async () => {
  const session = await load('m')
  for (const values of [[1, 2, 3, NaN], [3, 1, NaN, 2, 5]]) {
    const { y, inverse, counts } = await session.run({ x: new ort.Tensor('float32', values, [values.length]) })
    console.log(values, '-> values', [...y.data], 'inverse', [...inverse.data], 'counts', [...counts.data])
    assert.ok(![...y.data].some(Number.isNaN))
    assert.equal(inverse.data[values.findIndex(Number.isNaN)], 0n)
    assert.equal(counts.data[0], 2n)
  }
}
main().catch((error) => {
  console.error(error)
  process.exitCode = 1
})
JS
