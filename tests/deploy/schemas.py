"""Small schemas of the custom resources, from their documented shapes; their pods are checked elsewhere."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]


def strict(required: list[str], **properties: Any) -> Schema:
    """An object with these keys and no others."""
    return {"type": "object", "required": required, "additionalProperties": False, "properties": properties}


COUNT = {"type": "integer", "minimum": 0}
SIZE = {"type": "integer", "minimum": 1}
NAME = {"type": "string", "pattern": "^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$"}
LABELS = {
    "type": "object",
    "additionalProperties": {
        "type": "string",
        "pattern": "^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$",
    },
}
METADATA = strict(["name"], name=NAME, labels=LABELS, annotations={"type": "object"})
POD = {"type": "object", "required": ["containers"]}
TEMPLATE = strict(["spec"], metadata={"type": "object"}, spec=POD)


def resource(version: str, kind: str, spec: Schema) -> Schema:
    """A Kubernetes object."""
    return strict(
        ["apiVersion", "kind", "metadata", "spec"],
        apiVersion={"const": version},
        kind={"const": kind},
        metadata=METADATA,
        spec=spec,
    )


GROUP = strict(
    ["size", "workerTemplate"],
    size=SIZE,
    restartPolicy={"enum": ["RecreateGroupOnPodRestart", "RecreateGroupAfterStart", "None"]},
    leaderTemplate=TEMPLATE,
    workerTemplate=TEMPLATE,
)
PARALLELISM = strict(
    [], tensor=SIZE, pipeline=SIZE, data=SIZE, dataLocal=SIZE, expert={"type": "boolean"}, dataRPCPort=SIZE
)
LLM_POOL = {"replicas": COUNT, "parallelism": PARALLELISM, "template": POD, "worker": POD}
COMPONENT = strict(
    ["name", "type", "podTemplate"],
    name={"type": "string"},
    type={"enum": ["frontend", "worker", "prefill", "decode"]},
    replicas=COUNT,
    podTemplate=TEMPLATE,
    multinode=strict(["nodeCount"], nodeCount={"type": "integer", "minimum": 2}),
)
SCHEMAS = {
    "LeaderWorkerSet": resource(
        "leaderworkerset.x-k8s.io/v1",
        "LeaderWorkerSet",
        strict(["leaderWorkerTemplate"], replicas=COUNT, leaderWorkerTemplate=GROUP),
    ),
    "InferenceService": resource("serving.kserve.io/v1beta1", "InferenceService", strict(["predictor"], predictor=POD)),
    "LLMInferenceService": resource(
        "serving.kserve.io/v1alpha2",
        "LLMInferenceService",
        strict(
            ["model"],
            model=strict(["uri"], uri={"type": "string", "pattern": "^(hf|pvc|oci|s3)://"}, name={"type": "string"}),
            router=strict([], route={"type": "object"}, gateway={"type": "object"}, scheduler={"type": "object"}),
            prefill=strict(["template"], **LLM_POOL),
            **LLM_POOL,
        ),
    ),
    "DynamoGraphDeployment": resource(
        "nvidia.com/v1beta1",
        "DynamoGraphDeployment",
        strict(["components"], components={"type": "array", "items": COMPONENT, "minItems": 2}),
    ),
    "InferencePool": resource(
        "inference.networking.k8s.io/v1",
        "InferencePool",
        strict(
            ["selector", "targetPorts", "endpointPickerRef"],
            selector=strict(["matchLabels"], matchLabels=LABELS),
            targetPorts={"type": "array", "items": strict(["number"], number=SIZE)},
            endpointPickerRef=strict(["name"], name=NAME, port=strict(["number"], number=SIZE)),
        ),
    ),
}
INTERVAL = strict(["p10", "p50", "p90"], p10={"type": "number"}, p50={"type": "number"}, p90={"type": "number"})
EXPECTED = {
    "type": "object",
    "required": [
        "schema",
        "plan",
        "model",
        "engine",
        "accelerator",
        "placements",
        "workload",
        "expected",
        "results",
    ],
    "properties": {
        "schema": {"const": "sizing/expected/1"},
        "engine": strict(["name", "version"], name={"type": "string"}, version={"type": "string"}),
        "expected": {"type": "object", "additionalProperties": INTERVAL},
        "placements": {
            "type": "array",
            "items": strict(["tp", "pp", "dp", "ep"], tp=SIZE, pp=SIZE, dp=SIZE, ep=SIZE),
        },
        "results": {"type": "array", "items": strict(["file", "fields"], file={}, fields={"type": "object"})},
    },
}
DEVICE = strict(["driver", "device_ids", "capabilities"], driver={}, device_ids={"type": "array"}, capabilities={})
COMPOSE = strict(
    ["services"],
    services={
        "type": "object",
        "minProperties": 1,
        "additionalProperties": strict(
            ["image", "entrypoint"],
            image={"type": "string"},
            restart={"enum": ["unless-stopped"]},
            ipc={"const": "host"},
            shm_size={"type": "string"},
            entrypoint={"type": "array", "items": {"type": "string"}},
            environment={"type": "object", "additionalProperties": {"type": "string"}},
            volumes={"type": "array", "items": {"type": "string"}},
            devices={"type": "array", "items": {"type": "string"}},
            group_add={"type": "array"},
            ports={"type": "array", "items": {"type": "string"}},
            network_mode={"const": "host"},
            healthcheck={"type": "object"},
            deploy=strict(
                ["resources"],
                resources=strict(
                    ["reservations"],
                    reservations=strict(["devices"], devices={"type": "array", "items": DEVICE}),
                ),
            ),
        ),
    },
)
