#!/usr/bin/env bash
# Pow of int64 is computed in double precision
#
# Versions: onnxruntime-node 1.30.0 (CPU), model written with onnx 1.23.2, Node 20 or later, Python 3.11.
# Guess: An integer power of an integer is exact while it fits 64 bits.
# Happens: Pow(3, 39) is 4052555153018976256; the exact value is 4052555153018976267 and fits int64.
# Matters: Hash and id arithmetic in a graph (base to the n-th) silently loses its last digits above
# 2^53.
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

save("m", "g (int64[N] x, int64[N] p) => (int64[N] y) { y = Pow(x, p) }")
PY
ORT_DISABLE_TELEMETRY=1 node --input-type=commonjs - <<'JS'
const ort = require('onnxruntime-node')
const assert = require('node:assert/strict')
const load = (name) => ort.InferenceSession.create(name + '.onnx', { logSeverityLevel: 4 })
const main = async () => {
  const session = await load('m')
  const t = (v) => new ort.Tensor('int64', [v], [1])
  const { y } = await session.run({ x: t(3n), p: t(39n) })
  console.log('Pow(3, 39) =', y.data[0], 'exact', 3n ** 39n)
  assert.equal(y.data[0], 4052555153018976256n)
}
main().catch((error) => {
  console.error(error)
  process.exitCode = 1
})
JS
