#!/usr/bin/env bash
# run() reads its inputs after it has returned
#
# Versions: onnxruntime-node 1.30.0 (CPU), model written with onnx 1.23.2, Node 20 or later, Python 3.11.
# Guess: run() takes the inputs when it is called; the caller may reuse its array while the promise is
# pending.
# Happens: The native call starts in a later turn of the event loop and reads the array then: a value
# that is written right after run() is what the model gets.
# Matters: A server that fills one buffer per row and does not wait answers one request with the
# numbers of the next.
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

save("m", "g (float[N] x) => (float[N] y) { y = Identity(x) }")
PY
ORT_DISABLE_TELEMETRY=1 node --input-type=commonjs - <<'JS'
const ort = require('onnxruntime-node')
const assert = require('node:assert/strict')
const load = (name) => ort.InferenceSession.create(name + '.onnx', { logSeverityLevel: 4 })
const main = async () => {
  const session = await load('m')
  const x = new ort.Tensor('float32', Float32Array.of(1, 2), [2])
  const pending = session.run({ x })
  x.data[0] = 77
  const { y } = await pending
  console.log('given 1, changed to 77 after run() had returned, answered', y.data[0])
  assert.equal(y.data[0], 77)
}
main().catch((error) => {
  console.error(error)
  process.exitCode = 1
})
JS
