#!/usr/bin/env bash
# Cast from string to int64 reads a prefix and drops the rest
#
# Versions: onnxruntime-node 1.30.0 (CPU), model written with onnx 1.23.2, Node 20 or later, Python 3.11.
# Guess: A text that is no integer, such as "3abc" or "1.9", is an error, as the operator
# documentation and Python have it.
# Happens: Cast reads the digits at the start: "3abc" is 3, "1.9" is 1, "0x10" is 0 and " 2" is 2.
# Only a text without a leading digit is refused.
# Matters: Mixed columns ("12 months", "1e3") become plausible wrong numbers instead of an error.
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

save("m", "g (string[N] x) => (int64[N] y) { y = Cast<to=7>(x) }")
PY
ORT_DISABLE_TELEMETRY=1 node --input-type=commonjs - <<'JS'
const ort = require('onnxruntime-node')
const assert = require('node:assert/strict')
const load = (name) => ort.InferenceSession.create(name + '.onnx', { logSeverityLevel: 4 })
const main = async () => {
  const session = await load('m')
  const texts = ['3abc', '1.9', '1e3', '0x10', ' 2', '12 months']
  const { y } = await session.run({ x: new ort.Tensor('string', texts, [texts.length]) })
  console.log(texts, '->', [...y.data])
  assert.deepEqual([...y.data], [3n, 1n, 1n, 0n, 2n, 12n])
  await assert.rejects(session.run({ x: new ort.Tensor('string', ['abc'], [1]) }))
}
main().catch((error) => {
  console.error(error)
  process.exitCode = 1
})
JS
