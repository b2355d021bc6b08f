"""Reads metrics from stdin as Prometheus' Python client does: each family and each series once, and the requests of each model as told."""

import json
import sys

from prometheus_client.parser import text_string_to_metric_families

expected = json.loads(sys.argv[1])
families, series, requests = set(), set(), {}
for family in text_string_to_metric_families(sys.stdin.read()):
    assert family.name not in families, f"second family {family.name}"
    families.add(family.name)
    for sample in family.samples:
        key = (sample.name, tuple(sorted(sample.labels.items())))
        assert key not in series, f"second sample of {key}"
        series.add(key)
        if sample.name == "modelmount_requests_total" and sample.labels["modelmount_outcome"] == "ok":
            requests[sample.labels["model_name"]] = sample.value
assert requests == expected, f"requests {requests}, expected {expected}"
print(f"{len(families)} families, {len(series)} series, requests {requests}")
