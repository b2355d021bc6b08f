"""BentoML: one service, with its own adaptive batching. Usage: FOLDER=... bentoml serve bentoml_server:Models --port PORT"""

import os

import bentoml
import numpy as np
from models import FEATURES, MOST_ROWS, Model


@bentoml.service(workers=1, metrics={"enabled": False}, logging={"access": {"enabled": False}})
class Models:
    def __init__(self):
        self.onnx = {name: Model(os.environ["FOLDER"], name) for name in ("tiny", "encoder")}

    @bentoml.api(route="/tiny", batchable=True, max_batch_size=MOST_ROWS)
    def tiny(self, features: np.ndarray) -> np.ndarray:
        return self.onnx["tiny"].run({"features": features.astype(np.float32).reshape(-1, FEATURES)})

    @bentoml.api(route="/encoder")
    def encoder(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return self.onnx["encoder"].run({"ids": ids.astype(np.int64), "mask": mask.astype(np.int64)})
