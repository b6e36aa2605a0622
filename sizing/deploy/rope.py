"""A script that writes YaRN into a copy of a model's config.json, for engines that have no option for it."""

from __future__ import annotations

import json

from sizing.deploy.command import header
from sizing.deploy.spec import DeploymentSpec

PATCH_NAME = "patch-rope.py"

_BODY = '''\
"""Write YaRN into MODEL_DIRECTORY/config.json: patch-rope.py MODEL_DIRECTORY. The old one is kept."""

import json
import pathlib
import shutil
import sys

CHANGES = json.loads("""{changes}""")

path = pathlib.Path(sys.argv[1]) / "config.json"
config = json.loads(path.read_text(encoding="utf-8"))
kept = path.with_name("config.json.orig")
if not kept.exists():
    shutil.copyfile(path, kept)
config.update(CHANGES)
path.write_text(json.dumps(config, indent=2) + "\\n", encoding="utf-8")
print("wrote", path)
'''


def patch_script(spec: DeploymentSpec, kind_key: str = "rope_type") -> str:
    """The script; ``kind_key`` is what the engine calls the kind of scaling (``rope_type``, or ``type``)."""
    assert spec.rope is not None
    changes = {
        "max_position_embeddings": spec.rope.longest,
        "rope_scaling": {
            kind_key: "yarn",
            "factor": float(spec.rope.factor),
            "original_max_position_embeddings": spec.rope.original_max_position_embeddings,
        },
    }
    note = ("run it once on each copy of the model",)
    return header(spec, "YaRN for config.json", note) + _BODY.format(changes=json.dumps(changes, indent=2))
