"""MLServer with a runtime of our own, in its main process. Usage: mlserver_server.py PORT FOLDER"""

import asyncio
import sys

from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from models import BATCH_WAIT_S, MOST_ROWS, OUTPUTS, Model


class Runtime(MLModel):
    async def load(self) -> bool:
        self.onnx = Model(sys.argv[2], self.name)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        data = self.onnx.run({item.name: NumpyCodec.decode_input(item) for item in payload.inputs})
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output(OUTPUTS[self.name], data)])


async def main():
    ports = {"http_port": int(sys.argv[1]), "grpc_port": 0}
    server = MLServer(Settings(host="127.0.0.1", parallel_workers=0, debug=False, metrics_endpoint=None, **ports))
    batching = {"max_batch_size": MOST_ROWS, "max_batch_time": BATCH_WAIT_S}
    tiny = ModelSettings(name="tiny", implementation=Runtime, **batching)
    await server.start([tiny, ModelSettings(name="encoder", implementation=Runtime)])


asyncio.run(main())
