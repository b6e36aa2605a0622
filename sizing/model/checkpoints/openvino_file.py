"""The constants of an OpenVINO model: openvino_model.xml names each one's type, shape and bytes; the weights stay unread.

NNCF keeps the exporter's names ("self.model.layers.0.mlp.up_proj.weight", and ".../scale", ".../zero_point" beside it).
"""

from __future__ import annotations

import re
from pathlib import Path

from sizing.base.errors import ConfigError
from sizing.base.files import read_text
from sizing.model.checkpoints.safetensors import StoredTensor

MODEL = "openvino_model.xml"
MAX_XML_BYTES = 200 * 2**20
_CONSTANT = re.compile(
    r'<layer [^<>]*?name="([^"<>]{1,400})" type="Const"[^<>]*>\s*'
    r'<data [^<>]*?element_type="(\w{1,12})" shape="([\d, ]{0,200})"[^<>]*? size="(\d{1,18})"'
)
_FLOATS = {"f16": "F16", "bf16": "BF16", "f32": "F32", "f64": "F64"}


def openvino_constants(file: Path) -> list[StoredTensor]:
    """The constants that belong to a module, with the bytes that they take in openvino_model.bin.

    Raises ConfigError for a file without any.
    """
    text = read_text(file, MAX_XML_BYTES, error=ConfigError)
    found: dict[str, StoredTensor] = {}
    for name, kind, shape, size in _CONSTANT.findall(text):
        if "." not in name:
            continue  # shapes and axes of the graph
        plain = name.removeprefix("self.").removeprefix("__module.")
        sides = tuple(int(side) for side in shape.split(",") if side.strip())
        found[plain] = StoredTensor(plain, _FLOATS.get(kind, kind.upper()), sides, int(size))
    if not found:
        raise ConfigError("names no weights", key=str(file))
    return list(found.values())
