#!/usr/bin/env bash
# Model simplifiers turn a random operator into a constant, and two draws into one
#
# Versions: onnxslim 0.1.98, onnxoptimizer 0.4.2, onnx 1.23.2, onnxruntime 1.32.0, Python 3.11.
# Guess: A tool that removes redundant nodes leaves operators with random results alone, as constant
# folding in ONNX Runtime does.
# Happens: onnxslim replaces RandomNormal without inputs by the numbers of one draw, so every run answers
# the same. onnxslim and onnxoptimizer merge two RandomNormalLike nodes with the same input: the
# difference of the two draws becomes zero.
# Matters: Models that add noise, sample, or drop out at inference (Monte Carlo dropout) answer with no
# spread at all after simplification.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip -q --disable-pip-version-check install onnx==1.23.2 onnxruntime==1.32.0 onnxslim==0.1.98 onnxoptimizer==0.4.2
PYTHONWARNINGS=ignore env/bin/python - <<'PY'
import logging

import numpy as np
import onnx
import onnxoptimizer
import onnxruntime as ort
import onnxslim
from onnx import parser

logging.disable(logging.CRITICAL)
ort.set_default_logger_severity(4)
HEAD = '<ir_version: 10, opset_import: ["" : 21]>\n'
MODELS = {
    "noise": "g (float[N, 4] x) => (float[N, 4] y) { a = RandomNormal<shape = [4]>() y = Add(x, a) }",
    "difference": "g (float[N, 4] x) => (float[N, 4] y) { a = RandomNormalLike(x) b = RandomNormalLike(x) y = Sub(a, b) }",
}
TOOLS = {"as it is": lambda model: model, "onnxslim": onnxslim.slim, "onnxoptimizer": onnxoptimizer.optimize}
x = np.zeros((1, 4), np.float32)
for name, text in MODELS.items():
    for tool, simplify in TOOLS.items():
        model = simplify(parser.parse_model(HEAD + text))
        session = ort.InferenceSession(model.SerializeToString())
        first, second = (session.run(None, {"x": x})[0][0] for _ in range(2))
        print(f"{name}, {tool}: {[node.op_type for node in model.graph.node]} {first.round(2)} {second.round(2)}")
        if tool == "as it is" or (name == "noise" and tool == "onnxoptimizer"):
            assert (first != second).all() and np.abs(first).min() > 0
        elif name == "noise":
            assert (first == second).all() and np.abs(first).min() > 0
        else:
            assert (first == 0).all()
PY
