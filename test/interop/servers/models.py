"""The two models of the comparison, and the Open Inference Protocol around them, for the servers in Python."""

from pathlib import Path

import numpy as np
import onnxruntime as ort

OUTPUTS = {"tiny": "scores", "encoder": "pooled"}
TYPES = {"FP32": np.float32, "INT64": np.int64}
# A row of the tiny model.
FEATURES = 32
MOST_ROWS = 64
BATCH_WAIT_S = 0.001


class Model:
    def __init__(self, folder: str, name: str):
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.name = name
        self.session = ort.InferenceSession(Path(folder) / f"{name}.onnx", options, providers=["CPUExecutionProvider"])

    def run(self, feed: dict) -> np.ndarray:
        return self.session.run([OUTPUTS[self.name]], feed)[0]

    def run_rows(self, rows: list) -> list:
        """One run for several requests of the tiny model."""
        return list(self.run({"features": np.concatenate(rows)})[:, None])

    def answer(self, data: np.ndarray) -> dict:
        output = {"name": OUTPUTS[self.name], "datatype": "FP32", "shape": list(data.shape), "data": data.ravel().tolist()}
        return {"model_name": self.name, "outputs": [output]}


def feed_of(body: dict) -> dict:
    return {item["name"]: np.array(item["data"], TYPES[item["datatype"]]).reshape(item["shape"]) for item in body["inputs"]}
