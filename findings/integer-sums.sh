#!/usr/bin/env bash
# Integer sums: ReduceSum saturates at 32 bits and rounds at 64, CumSum wraps
#
# Versions: onnxruntime-node 1.30.0 (CPU), model written with onnx 1.23.2, Node 20 or later, Python 3.11.
# Guess: Both operators wrap around, as integer arithmetic in numpy, C++ and the ONNX reference does.
# Happens: ReduceSum of int32 [2147483647, 1] is 2147483647; the last element of CumSum of the same
# tensor is -2147483648. ReduceSum of int64 [2^53 + 1, 1, 1] is one too small.
# Matters: Totals of cents or counters differ between two operators of one graph, and large int64
# totals lose their last digit.
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

save("a", "g (int32[N] x) => (int32 sum, int32[N] running) { axis = Constant<value_int=0>() sum = ReduceSum<keepdims=0>(x) running = CumSum(x, axis) }")
save("b", "g (int64[N] x) => (int64 sum) { sum = ReduceSum<keepdims=0>(x) }")
PY
ORT_DISABLE_TELEMETRY=1 node --input-type=commonjs - <<'JS'
const ort = require('onnxruntime-node')
const assert = require('node:assert/strict')
const load = (name) => ort.InferenceSession.create(name + '.onnx', { logSeverityLevel: 4 })
const main = async () => {
  const { sum, running } = await (await load('a')).run({ x: new ort.Tensor('int32', [2147483647, 1], [2]) })
  console.log('int32 ReduceSum', sum.data[0], 'CumSum', [...running.data])
  assert.equal(sum.data[0], 2147483647)
  assert.equal(running.data[1], -2147483648)
  const big = [2n ** 53n + 1n, 1n, 1n]
  const { sum: wide } = await (await load('b')).run({ x: new ort.Tensor('int64', big, [3]) })
  console.log('int64 ReduceSum', wide.data[0], 'exact', big[0] + 2n)
  assert.equal(wide.data[0], big[0] + 1n)
}
main().catch((error) => {
  console.error(error)
  process.exitCode = 1
})
JS
