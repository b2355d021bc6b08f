#!/usr/bin/env bash
# Integer Div and Mod do not belong together
#
# Versions: onnxruntime-node 1.30.0 (CPU), model written with onnx 1.23.2, Node 20 or later, Python 3.11.
# Guess: x = d * Div(x, d) + Mod(x, d) holds for negative x, as in C (both truncate) and Python (both
# floor).
# Happens: Div truncates and Mod floors: for -4 and 3 they give -1 and 2, which makes -1. With fmod=1
# the identity holds.
# Matters: Code that splits a negative offset into bucket and rest lands in the wrong bucket. Both
# answers follow the specification.
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

save("m", "g (int64[N] x) => (int64[N] q, int64[N] r, int64[N] f) { d = Constant<value_int=3>() q = Div(x, d) r = Mod(x, d) f = Mod<fmod=1>(x, d) }")
PY
ORT_DISABLE_TELEMETRY=1 node --input-type=commonjs - <<'JS'
const ort = require('onnxruntime-node')
const assert = require('node:assert/strict')
const load = (name) => ort.InferenceSession.create(name + '.onnx', { logSeverityLevel: 4 })
const main = async () => {
  const session = await load('m')
  const { q, r, f } = await session.run({ x: new ort.Tensor('int64', [-4n, 4n], [2]) })
  console.log('Div', [...q.data], 'Mod', [...r.data], 'Mod fmod=1', [...f.data])
  assert.deepEqual([...q.data], [-1n, 1n])
  assert.deepEqual([...r.data], [2n, 1n])
  assert.deepEqual([...f.data], [-1n, 1n])
}
main().catch((error) => {
  console.error(error)
  process.exitCode = 1
})
JS
