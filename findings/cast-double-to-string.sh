#!/usr/bin/env bash
# Cast from double to string keeps eight significant digits
#
# Versions: onnxruntime-node 1.30.0 (CPU), model written with onnx 1.23.2, Node 20 or later, Python 3.11.
# Guess: A double becomes the shortest text that reads back to the same double, or 17 digits.
# Happens: Cast prints 8 significant digits for doubles and floats alike: 1234567890.0 becomes
# 1.2345679e+09, and 2/3 becomes 0.66666667.
# Matters: Pipelines that turn a numeric id into a category key by a cast merge different ids.
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

save("m", "g (double[N] x) => (string[N] y) { y = Cast<to=8>(x) }")
PY
ORT_DISABLE_TELEMETRY=1 node --input-type=commonjs - <<'JS'
const ort = require('onnxruntime-node')
const assert = require('node:assert/strict')
const load = (name) => ort.InferenceSession.create(name + '.onnx', { logSeverityLevel: 4 })
const main = async () => {
  const session = await load('m')
  const { y } = await session.run({ x: new ort.Tensor('float64', [1234567890, 1234567891, 2 / 3], [3]) })
  console.log(y.data)
  assert.deepEqual([...y.data], ['1.2345679e+09', '1.2345679e+09', '0.66666667'])
}
main().catch((error) => {
  console.error(error)
  process.exitCode = 1
})
JS
