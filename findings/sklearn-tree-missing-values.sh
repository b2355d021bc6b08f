#!/usr/bin/env bash
# skl2onnx: a decision tree sends missing values to the other branch
#
# Versions: scikit-learn 1.9.1, skl2onnx 1.20.0, onnxruntime 1.32.0, Python 3.11.
# Guess: scikit-learn trees learn a side for NaN at each split, and the converted tree keeps it.
# Happens: The side is lost in the conversion. With a third of the rows missing one value, the
# probabilities of most of those rows differ, by up to 0.9. Random forests and extra trees are alike.
# Matters: The conversion, the model check and the smoke test on complete rows all pass.
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

from sklearn.tree import DecisionTreeClassifier
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType

kinds = [("x", FloatTensorType([None, 4]))]

y = (X[:, 0] + X[:, 1] * X[:, 2] > 0).astype(int)
seen = X.copy()
seen[::4, 0] = np.nan
tree = DecisionTreeClassifier(random_state=0, max_depth=5).fit(seen, y)
model = convert_sklearn(tree, initial_types=kinds, options={id(tree): {"zipmap": False}})
print("complete rows:", end=" ")
assert differ(run(model)[1], tree.predict_proba(asked)).max() < 1e-3
asked[::3, 0] = np.nan
print("with missing values:", end=" ")
gap = differ(run(model)[1], tree.predict_proba(asked))
assert (gap > 1e-3).sum() > 50 and gap.max() > 0.5
PY
