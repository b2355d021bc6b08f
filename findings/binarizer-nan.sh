#!/usr/bin/env bash
# Binarizer fails the whole run for one NaN
#
# Versions: onnxruntime-node 1.30.0 (CPU), model written with onnx 1.23.2, Node 20 or later, Python 3.11.
# Guess: NaN compares false with the threshold and becomes 0, as Greater and Where of the same graph
# would do.
# Happens: The run is an error: "Input data with index: 0 is NaN". Greater + Cast of the same values
# answers 0.
# Matters: One missing value of one caller fails every row of a shared batch, so a server must run the
# rows again.
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

save("a", "g (float[N] x) => (float[N] y) { y = ai.onnx.ml.Binarizer<threshold=0.5>(x) }", extra=', "ai.onnx.ml" : 3')
save("b", "g (float[N] x) => (float[N] y) { t = Constant<value_float=0.5>() b = Greater(x, t) y = Cast<to=1>(b) }")
PY
ORT_DISABLE_TELEMETRY=1 node --input-type=commonjs - <<'JS'
const ort = require('onnxruntime-node')
const assert = require('node:assert/strict')
const load = (name) => ort.InferenceSession.create(name + '.onnx', { logSeverityLevel: 4 })
const main = async () => {
  const x = new ort.Tensor('float32', [NaN, 0.5, 0.6], [3])
  const failure = await (await load('a')).run({ x }).then(() => 'ran', (error) => error.message)
  const { y } = await (await load('b')).run({ x })
  console.log('Binarizer:', failure.trim(), '\nGreater + Cast:', [...y.data])
  assert.match(failure, /is NaN/)
  assert.deepEqual([...y.data], [0, 0, 1])
}
main().catch((error) => {
  console.error(error)
  process.exitCode = 1
})
JS
