#!/usr/bin/env bash
# A conversion to float16 changes constants that float16 can hold
#
# Versions: onnxconverter-common 1.16.0, onnx 1.23.2, Python 3.11.
# Guess: convert_float_to_float16 rounds each weight to the nearest float16 number, whose range reaches
# from 6e-8 to 65504.
# Happens: By default it clamps magnitudes to between 1e-7 and 10000 first: 20000 becomes 10000, and 1e-8,
# which rounds to 0, becomes about 1e-7. Values given as max_finite_val=65504 and min_positive_val=6e-8
# keep the range of the type.
# Matters: A constant such as a divisor of 20000 or a mask of -30000 becomes another one, and the
# converted model still runs.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip -q --disable-pip-version-check install onnx==1.23.2 onnxconverter-common==1.16.0
PYTHONWARNINGS=ignore env/bin/python - <<'PY'
import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnxconverter_common import float16

weights = np.array([20000, -30000, 0.5, 1e-8], np.float32)
value = helper.make_tensor_value_info
graph = helper.make_graph(
    [helper.make_node("Mul", ["x", "w"], ["y"])],
    "g",
    [value("x", onnx.TensorProto.FLOAT, [None, 4])],
    [value("y", onnx.TensorProto.FLOAT, [None, 4])],
    [numpy_helper.from_array(weights, "w")],
)
plain = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])


def converted(**opts):
    copy = onnx.ModelProto.FromString(plain.SerializeToString())
    return numpy_helper.to_array(float16.convert_float_to_float16(copy, **opts).graph.initializer[0])


rounded = weights.astype(np.float16)
by_default, asked_for = converted(), converted(max_finite_val=65504, min_positive_val=6e-8)
print("float32:", weights, "rounded by NumPy:", rounded)
print("converted by default:", by_default, "with the range of the type:", asked_for)
assert rounded[:3].tolist() == [20000, -30000, 0.5]
assert by_default[:3].tolist() == [10000, -10000, 0.5] and 0 < by_default[3] < 2e-7
assert asked_for[:3].tolist() == [20000, -30000, 0.5]
PY
