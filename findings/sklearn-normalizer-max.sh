#!/usr/bin/env bash
# skl2onnx: Normalizer("max") divides by the largest value, not by the largest magnitude
#
# Versions: scikit-learn 1.9.1, skl2onnx 1.20.0, onnxruntime 1.32.0, Python 3.11.
# Guess: The converted normalizer divides a row by its largest absolute value, as scikit-learn does.
# Happens: The ai.onnx.ml operator divides by the signed maximum. Rows whose largest magnitude is
# negative differ, by factors of hundreds where the maximum is near zero.
# Matters: Half of all centred rows are scaled wrongly.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip -q --disable-pip-version-check install scikit-learn==1.9.1 skl2onnx==1.20.0 onnxruntime==1.32.0
PYTHONWARNINGS=ignore env/bin/python - <<'PY'
import numpy as np
import onnxruntime as ort

rng = np.random.default_rng(0)
X = rng.normal(size=(400, 4)).astype(np.float32)
asked = rng.normal(size=(500, 4)).astype(np.float32)


def run(model):
    opts = ort.SessionOptions()
    opts.log_severity_level = 4
    return ort.InferenceSession(model.SerializeToString(), opts).run(None, {"x": asked})


def differ(got, wanted, tolerance=1e-3):
    gap = np.abs(np.asarray(got, float).reshape(wanted.shape) - wanted).reshape(len(wanted), -1).max(1)
    print(f"rows that differ: {(gap > tolerance).sum()} of {len(gap)}, largest difference {gap.max():.3f}")
    return gap

from sklearn.preprocessing import Normalizer
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType

kinds = [("x", FloatTensorType([None, 4]))]

scaler = Normalizer("max").fit(X)
gap = differ(run(convert_sklearn(scaler, initial_types=kinds))[0], scaler.transform(asked))
negative = np.abs(asked).max(1) > asked.max(1)
print(f"rows whose largest magnitude is negative: {negative.sum()}")
assert (gap[negative] > 1e-3).all() and (gap[~negative] < 1e-3).all()
PY
