#!/usr/bin/env bash
# onnxmltools: a LightGBM "multiclassova" model answers other probabilities
#
# Versions: lightgbm 4.7.0, onnxmltools 1.16.0, onnxruntime 1.32.0, Python 3.11.
# Guess: The converted model applies one sigmoid per class, as the objective does.
# Happens: Every row differs, by up to 0.23.
# Matters: Thresholds per class, the reason to choose this objective, no longer mean the same.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip -q --disable-pip-version-check install onnxmltools==1.16.0 skl2onnx==1.20.0 onnxruntime==1.32.0 lightgbm==4.7.0 scikit-learn==1.9.1
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

import lightgbm
import onnxmltools
from onnxmltools.convert.common.data_types import FloatTensorType

kinds = [("x", FloatTensorType([None, 4]))]
quiet = {"verbose": -1, "n_estimators": 20}

y = rng.integers(0, 3, 400)
for objective in ("multiclass", "multiclassova"):
    fitted = lightgbm.LGBMClassifier(objective=objective, **quiet).fit(X, y)
    model = onnxmltools.convert_lightgbm(fitted, initial_types=kinds, zipmap=False)
    print(objective, end=": ")
    gap = differ(run(model)[1], fitted.predict_proba(asked))
    assert ((gap > 1e-3).mean() > 0.9) == (objective == "multiclassova")
PY
