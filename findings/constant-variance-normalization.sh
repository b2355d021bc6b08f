#!/usr/bin/env bash
# MeanVarianceNormalization of a constant channel is NaN
#
# Versions: onnxruntime-node 1.30.0 (CPU), model written with onnx 1.23.2, Node 20 or later, Python 3.11.
# Guess: The specified function divides by the standard deviation plus 1e-9, so a constant channel
# becomes zeros.
# Happens: The kernel divides by the bare standard deviation: a constant channel is NaN in every
# element.
# Matters: A black image, a muted recording or a stuck sensor turns the whole answer into NaN.
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

save("m", "g (float[1,1,1,N] x) => (float[1,1,1,N] y) { y = MeanVarianceNormalization(x) }")
PY
ORT_DISABLE_TELEMETRY=1 node --input-type=commonjs - <<'JS'
const ort = require('onnxruntime-node')
const assert = require('node:assert/strict')
const load = (name) => ort.InferenceSession.create(name + '.onnx', { logSeverityLevel: 4 })
const main = async () => {
  const { y } = await (await load('m')).run({ x: new ort.Tensor('float32', [2, 2, 2], [1, 1, 1, 3]) })
  console.log('constant channel ->', [...y.data])
  assert.ok([...y.data].every(Number.isNaN))
}
main().catch((error) => {
  console.error(error)
  process.exitCode = 1
})
JS
