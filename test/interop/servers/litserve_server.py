"""LitServe: a worker for each model. Usage: litserve_server.py PORT FOLDER"""

import sys

import litserve
import numpy as np
from models import BATCH_WAIT_S, MOST_ROWS, Model, feed_of


class Encoder(litserve.LitAPI):
    name = "encoder"

    def setup(self, device):
        self.onnx = Model(sys.argv[2], self.name)

    def decode_request(self, request):
        return feed_of(request)

    def predict(self, feed):
        return self.onnx.run(feed)

    def encode_response(self, output):
        return self.onnx.answer(output)


class Tiny(Encoder):
    name = "tiny"

    def decode_request(self, request):
        return super().decode_request(request)["features"]

    def batch(self, inputs):
        return np.concatenate(inputs)

    def predict(self, rows):
        return self.onnx.run({"features": rows})

    def unbatch(self, output):
        return list(output[:, None])


if __name__ == "__main__":
    tiny = Tiny(max_batch_size=MOST_ROWS, batch_timeout=BATCH_WAIT_S, api_path="/v2/models/tiny/infer")
    encoder = Encoder(api_path="/v2/models/encoder/infer")
    server = litserve.LitServer([tiny, encoder], accelerator="cpu", workers_per_device=1, fast_queue=True)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), num_api_servers=1, generate_client_file=False, log_level="warning")
