#!/usr/bin/env bash
# skl2onnx: SimpleImputer(add_indicator=True) loses its indicator columns
#
# Versions: scikit-learn 1.9.1, skl2onnx 1.20.0, onnxruntime 1.32.0, Python 3.11.
# Guess: The converter writes the columns that say where a value was missing, or refuses the option.
# Happens: The converted imputer answers four columns where scikit-learn answers five. There is no
# warning.
# Matters: A later step that expects five features fails at load, or reads shifted features where its
# size is open.
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

from sklearn.impute import SimpleImputer
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType

kinds = [("x", FloatTensorType([None, 4]))]

seen = X.copy()
seen[::4, 0] = np.nan
asked[::3, 0] = np.nan
imputer = SimpleImputer(add_indicator=True).fit(seen)
got = run(convert_sklearn(imputer, initial_types=kinds))[0]
print("scikit-learn", imputer.transform(asked).shape, "converted", got.shape)
assert imputer.transform(asked).shape == (500, 5) and got.shape == (500, 4)
PY
