"""KServe's Python server, one process. Usage: kserve_server.py PORT FOLDER"""

import sys

from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer
from kserve.utils.utils import generate_uuid
from models import OUTPUTS
from models import Model as Onnx


class Served(Model):
    def __init__(self, name: str):
        super().__init__(name)
        self.onnx = Onnx(sys.argv[2], name)
        self.ready = True

    def predict(self, payload: InferRequest, headers=None, response_headers=None) -> InferResponse:
        data = self.onnx.run({item.name: item.as_numpy() for item in payload.inputs})
        output = InferOutput(OUTPUTS[self.name], list(data.shape), "FP32", data.ravel().tolist())
        return InferResponse(payload.id or generate_uuid(), self.name, [output])


server = ModelServer(http_port=int(sys.argv[1]), workers=1, enable_grpc=False, access_log_format=None)
server.start([Served(name) for name in OUTPUTS])
