#!/usr/bin/env bash
# onnxmltools: the parameter sigmoid of LightGBM is dropped in silence
#
# Versions: lightgbm 4.7.0, onnxmltools 1.16.0, onnxruntime 1.32.0, Python 3.11.
# Guess: LGBMClassifier(sigmoid=3) converts with its slope, or the converter refuses it: the objective in
# the model file reads "binary sigmoid:3".
# Happens: The converted model always uses the slope 1. With sigmoid=3 every probability is too close to
# 0.5, by up to 0.2; labels agree.
# Matters: Probabilities that were calibrated are not any more, and a test of the labels does not see it.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip -q --disable-pip-version-check install onnxmltools==1.16.0 skl2onnx==1.20.0 onnxruntime==1.32.0 lightgbm==4.7.0 scikit-learn==1.9.1
PYTHONWARNINGS=ignore env/bin/python - <<'PY'
import numpy as np
import onnxruntime as ort

ort.set_default_logger_severity(4)
rng = np.random.default_rng(0)
X = rng.normal(size=(400, 4)).astype(np.float32)
asked = rng.normal(size=(300, 4)).astype(np.float32)


def run(model, rows):
    return ort.InferenceSession(model.SerializeToString()).run(None, {model.graph.input[0].name: rows})

import onnxmltools
import lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType

kinds = [("x", FloatTensorType([None, 4]))]
y = (X[:, 0] + X[:, 1] * X[:, 2] + rng.normal(size=400) > 0).astype(int)
for sigmoid in (1.0, 3.0):
    fitted = lightgbm.LGBMClassifier(n_estimators=30, sigmoid=sigmoid, verbose=-1).fit(X, y)
    labels, got = run(onnxmltools.convert_lightgbm(fitted, initial_types=kinds, zipmap=False), asked)
    wanted = fitted.predict_proba(asked)
    gap = np.abs(got - wanted).max(1)
    print(f"sigmoid={sigmoid}: rows that differ {(gap > 1e-3).sum()} of 300, largest difference {gap.max():.3g}")
    assert (labels == fitted.predict(asked)).all()
    if sigmoid == 1.0:
        assert gap.max() < 1e-5
    else:
        assert (gap > 1e-3).sum() > 290 and (np.abs(got - 0.5) <= np.abs(wanted - 0.5) + 1e-6).all()
        margin = fitted.predict(asked, raw_score=True)
        assert np.allclose(got[:, 1], 1 / (1 + np.exp(-margin)), atol=1e-4)
PY
