"""Exports classifiers by default, with ZipMap, and writes down the dictionaries that Python gets. For zipmap.mjs. Usage: zipmap.py FOLDER

Needs onnxruntime, scikit-learn, skl2onnx, onnxmltools, lightgbm and catboost.
"""

import json
import sys
import warnings
from pathlib import Path

import lightgbm
import numpy as np
import onnxruntime
from catboost import CatBoostClassifier
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType
from skl2onnx import to_onnx
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

warnings.filterwarnings("ignore")
OUT = Path(sys.argv[1])
OUT.mkdir(parents=True, exist_ok=True)
X, numbers = load_iris(return_X_y=True)
X = X.astype(np.float32)
ROWS = X[::13]
words = np.array(["setosa", "versicolor", "virginica"])[numbers]
KINDS = {"numbers": numbers, "words": words, "two-numbers": (numbers == 2).astype(np.int64), "two-words": np.where(numbers == 2, "yes", "no")}


def sklearn(make):
    return lambda y, path: path.write_bytes(to_onnx(make().fit(X, y), X[:1]).SerializeToString())


def booster(y, path):
    fitted = lightgbm.LGBMClassifier(n_estimators=5, verbose=-1).fit(X, y)
    path.write_bytes(convert_lightgbm(fitted, initial_types=[("x", FloatTensorType([None, 4]))], target_opset=15).SerializeToString())


def catboost(y, path):
    CatBoostClassifier(iterations=5, verbose=False, allow_writing_files=False).fit(X, y).save_model(str(path), format="onnx")


EXPORTS = {
    "logistic": sklearn(lambda: LogisticRegression(max_iter=500)),
    "forest": sklearn(lambda: RandomForestClassifier(10)),
    "boosting": sklearn(lambda: GradientBoostingClassifier(n_estimators=5)),
    "tree": sklearn(lambda: DecisionTreeClassifier(max_depth=3)),
    "neighbours": sklearn(lambda: KNeighborsClassifier(3)),
    "bayes": sklearn(GaussianNB),
    "pipeline": sklearn(lambda: make_pipeline(StandardScaler(), LogisticRegression())),
    "calibrated": sklearn(lambda: CalibratedClassifierCV(DecisionTreeClassifier(max_depth=2))),
    "network": sklearn(lambda: MLPClassifier((5,), max_iter=50)),
    "machine": sklearn(lambda: SVC(probability=True)),
    "lightgbm": booster,
    "catboost": catboost,
}


def answers(path):
    session = onnxruntime.InferenceSession(str(path))
    name = session.get_inputs()[0].name
    found = {}
    for output, value in zip(session.get_outputs(), session.run(None, {name: ROWS})):
        is_map = isinstance(value, list) and isinstance(value[0], dict)
        found[output.name] = [{str(k): float(v) for k, v in row.items()} for row in value] if is_map else np.asarray(value).tolist()
    return {"input": name, "outputs": found}


index = {}
for export, make in EXPORTS.items():
    for kind, y in KINDS.items():
        path = OUT / f"{export}-{kind}.onnx"
        make(y, path)
        index[path.name] = answers(path)
(OUT / "answers.json").write_text(json.dumps({"rows": ROWS.tolist(), "models": index}))
print(f"{len(index)} models in {OUT}")
