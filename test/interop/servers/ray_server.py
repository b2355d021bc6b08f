"""Ray Serve: a deployment for each model. Usage: ray_server.py PORT FOLDER"""

import sys
import time

import ray
from models import BATCH_WAIT_S, MOST_ROWS, Model, feed_of
from ray import serve
from starlette.requests import Request

port, folder = int(sys.argv[1]), sys.argv[2]


@serve.deployment(max_ongoing_requests=512, logging_config={"enable_access_log": False})
class Tiny:
    def __init__(self, folder: str):
        self.onnx = Model(folder, "tiny")

    @serve.batch(max_batch_size=MOST_ROWS, batch_wait_timeout_s=BATCH_WAIT_S)
    async def rows(self, rows: list) -> list:
        return self.onnx.run_rows(rows)

    async def __call__(self, request: Request) -> dict:
        return self.onnx.answer(await self.rows(feed_of(await request.json())["features"]))


@serve.deployment(max_ongoing_requests=512, logging_config={"enable_access_log": False})
class Encoder:
    def __init__(self, folder: str):
        self.onnx = Model(folder, "encoder")

    async def __call__(self, request: Request) -> dict:
        return self.onnx.answer(self.onnx.run(feed_of(await request.json())))


ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
serve.start(http_options={"host": "127.0.0.1", "port": port})
for name, deployment in {"tiny": Tiny, "encoder": Encoder}.items():
    serve.run(deployment.bind(folder), name=name, route_prefix=f"/v2/models/{name}/infer")
while True:
    time.sleep(60)
