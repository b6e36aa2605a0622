"""Checkpoints by the tools that write them: real quantisers write a tiny Llama, and the product is held against the files.

Each tool has an environment of its own in a temporary folder (``--keep FOLDER`` keeps it). Not part of CI: it installs some
gigabytes. Prints a line a checkpoint, and ends with 1 where a size is more than 2% from the bytes and nothing says so.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

TORCH = ("torch==2.13.0", "transformers==5.24.0", "safetensors", "accelerate", "requests")
TOOLS = {
    "base": (),
    "compressed": ("llmcompressor==0.14.0.1", "compressed-tensors==0.19.0"),
    "bitsandbytes": ("bitsandbytes==0.50.2",),
    "torchao": ("torchao==0.18.0",),
    "autoround": ("auto-round==0.16.1",),
    "mlx": ("mlx[cpu]==0.32.4", "mlx-lm==0.32.2"),
    "modelopt": ("nvidia-modelopt==0.47.0",),
    "quark": ("amd-quark==0.13",),
    "quanto": ("optimum-quanto==0.2.7",),
    "hqq": ("hqq==0.2.8.post1",),
    "msmodelslim": ("msmodelslim==26.1.0",),
}
LAYERS = 4  # of the tiny model
WRITERS = Path(__file__).with_name("formats_write.py")


def write(tool: str, root: Path) -> None:
    """Install one tool and let it write its checkpoints into ``root/out``."""
    home = root / f"env-{tool}"
    if not home.exists():
        venv.create(home, with_pip=True)
        subprocess.run([home / "bin/pip", "install", "-q", *TORCH, *TOOLS[tool]], check=True)
    subprocess.run([home / "bin/python", WRITERS, tool, root / "out"], check=False)


def hold(folder: Path) -> bool:
    """Print how the product sizes one checkpoint; whether that is right or said."""
    from sizing.base.errors import SizingError
    from sizing.engine.placement import Placement
    from sizing.engine.sharding import weight_bytes
    from sizing.model.sources import load_model
    from sizing.planning.target import native_scheme

    try:
        arch = load_model(folder)
        scheme = native_scheme(arch)
    except SizingError as error:
        print(f"{folder.name:24} refused: {error}")
        return True
    found = sum(line.bytes for line in weight_bytes(arch, Placement(), scheme))
    stored = arch.stored_bytes or 0
    right = abs(found - stored) <= 0.02 * stored
    word = "right" if right else "said" if arch.stored_note else "WRONG"
    print(f"{folder.name:24} {scheme.name:16} {stored:>12,} on disk {found:>14,.0f} sized  {word}")
    return right or arch.stored_note is not None


def record(folders: list[Path]) -> dict[str, object]:
    """What the tools wrote, without the weights: config keys and headers, one layer for all that are alike."""
    from sizing.model.checkpoints.safetensors import read_header
    from sizing.model.foreign import quantization_beside

    found: dict[str, object] = {}
    for folder in folders:
        config = json.loads((folder / "config.json").read_text())
        beside = folder / "hf_quant_config.json"
        tensors: dict[str, list[object]] = {}
        every: set[str] = set()
        for file in sorted(folder.glob("*.safetensors")):
            for tensor in read_header(file):
                tensors[tensor.name] = [tensor.dtype, list(tensor.shape)]
        for name, stored in tensors.items():
            alike = [tensors.get(name.replace("layers.0.", f"layers.{layer}.")) for layer in range(LAYERS)]
            if "layers.0." in name and all(other == stored for other in alike):
                every.add(name)
        short = {
            name.replace("layers.0.", "layers.*.") if name in every else name: stored
            for name, stored in tensors.items()
            if re.sub(r"layers\.\d+\.", "layers.0.", name) not in every or name in every
        }
        found[folder.name] = {
            "quantization_config": config.get("quantization_config") or config.get("quantization"),
            "hf_quant_config": json.loads(beside.read_text()) if beside.is_file() else None,
            "beside": quantization_beside(folder),
            "tensors": short,
        }
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--tools", default=",".join(TOOLS))
    parser.add_argument("--record", type=Path, help="write what the tests read: keys and headers, no weights")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        root = chosen.keep or Path(made)
        for tool in dict.fromkeys(["base", *chosen.tools.split(",")]):
            write(tool, root)
        folders = [folder for folder in sorted((root / "out").iterdir()) if (folder / "config.json").is_file()]
        results = [hold(folder) for folder in folders]
        if chosen.record:
            written = {"tools": TOOLS, "checkpoints": record(folders)}
            chosen.record.write_text(json.dumps(written, indent=None, sort_keys=True).replace('}, "', '},\n"') + "\n")
    return 0 if results and all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
