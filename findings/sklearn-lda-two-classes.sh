#!/usr/bin/env bash
# skl2onnx: LinearDiscriminantAnalysis with two classes is too sure of itself
#
# Versions: scikit-learn 1.9.1, skl2onnx 1.20.0, onnxruntime 1.32.0, Python 3.11.
# Guess: predict_proba of a linear discriminant converts for two classes as it does for three.
# Happens: With three classes the probabilities agree to 1e-6. With two, every converted probability is
# pushed towards 0 or 1: the odds are squared. scikit-learn says 0.912 where the converted model says
# 0.991.
# Matters: Labels agree, so a test of accuracy passes; thresholds other than 0.5, expected costs and
# calibration are wrong.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip -q --disable-pip-version-check install scikit-learn==1.9.1 skl2onnx==1.20.0 onnxruntime==1.32.0
PYTHONWARNINGS=ignore env/bin/python - <<'PY'
import numpy as np
import onnxruntime as ort

ort.set_default_logger_severity(4)
rng = np.random.default_rng(0)
X = rng.normal(size=(400, 4)).astype(np.float32)
asked = rng.normal(size=(300, 4)).astype(np.float32)


def run(model, rows):
    return ort.InferenceSession(model.SerializeToString()).run(None, {model.graph.input[0].name: rows})

from skl2onnx import to_onnx
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

for classes, edges in ((2, [0]), (3, [-0.5, 0.5])):
    fitted = LinearDiscriminantAnalysis().fit(X, np.digitize(X[:, 0] + rng.normal(size=400) / 2, edges))
    labels, got = run(to_onnx(fitted, X[:1], options={id(fitted): {"zipmap": False}}), asked)
    wanted = fitted.predict_proba(asked)
    gap = np.abs(got - wanted).max()
    print(f"{classes} classes: labels that differ {(labels != fitted.predict(asked)).sum()}, largest gap of a probability {gap:.2g}")
    print("  scikit-learn", wanted[0].round(3), "converted", got[0].round(3))
    assert (labels == fitted.predict(asked)).all() and (gap > 0.1 if classes == 2 else gap < 1e-5)
    if classes == 2:
        odds = (wanted[:, 1] / wanted[:, 0]) ** 2
        assert np.allclose(odds / (1 + odds), got[:, 1], atol=1e-4)
PY
