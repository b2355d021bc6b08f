#!/usr/bin/env bash
# OneHotEncoder truncates fractions to a category
#
# Versions: onnxruntime-node 1.30.0 (CPU), model written with onnx 1.23.2, Node 20 or later, Python 3.11.
# Guess: A float that is no category (1.9 where 1, 2 and 3 are known) counts as unknown.
# Happens: ai.onnx.ml OneHotEncoder with cats_int64s converts its float input to integers first: 1.9
# is category 1 and 2.999 is category 2.
# Matters: Averaged or scaled category codes select a wrong category instead of none.
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

save("m", "g (float[N] x) => (float[N,3] y) { y = ai.onnx.ml.OneHotEncoder<cats_int64s=[1,2,3]>(x) }", extra=', "ai.onnx.ml" : 3')
PY
ORT_DISABLE_TELEMETRY=1 node --input-type=commonjs - <<'JS'
const ort = require('onnxruntime-node')
const assert = require('node:assert/strict')
const load = (name) => ort.InferenceSession.create(name + '.onnx', { logSeverityLevel: 4 })
const main = async () => {
  const { y } = await (await load('m')).run({ x: new ort.Tensor('float32', [1.9, 2.999, 7], [3]) })
  console.log('1.9 ->', [...y.data.slice(0, 3)], '2.999 ->', [...y.data.slice(3, 6)], '7 ->', [...y.data.slice(6)])
  assert.deepEqual([...y.data], [1, 0, 0, 0, 1, 0, 0, 0, 0])
}
main().catch((error) => {
  console.error(error)
  process.exitCode = 1
})
JS
