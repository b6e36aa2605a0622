"""Names: ids, aliases, what is assumed, and every spelling of the measurement files."""

from __future__ import annotations

import csv
import gzip
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sizing.base.errors import SizingError, UnknownNameError
from sizing.hardware import load_accelerator, resolve_accelerator
from sizing.hardware.loader import Catalog, normalize

ROOT = Path(__file__).parents[2]
SHARED = Path(os.environ.get("SIZING_SHARED", ROOT.parent / "shared"))
if not (SHARED / "measurements").is_dir():
    SHARED = ROOT.parents[1] / "shared"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("h100_sxm", "h100-sxm"),
        ("H100 SXM 80GB", "h100-sxm"),
        ("h100-sxm-80gb", "h100-sxm"),
        ("NVIDIA-H100-80GB-HBM3", "h100-sxm"),
        ("a100_sxm", "a100-80gb-sxm"),
        ("a100-sxm-80gb", "a100-80gb-sxm"),
        ("a100-pcie-80gb", "a100-80gb-pcie"),
        ("h200-sxm-141gb", "h200-sxm"),
        ("b200", "b200-sxm"),
        ("B200_SXM", "b200-sxm"),
        ("GB200", "gb200"),
        ("h20-96gb", "h20-96gb"),
        ("l40s", "l40s"),
        ("mi300x", "mi300x"),
        ("rtx-pro-6000-blackwell-server", "rtx-pro-6000-blackwell"),
        ("ascend-910b (A2, runner a2b3, 64GB)", "ascend-910b3"),
        ("ascend-910c (A3)", "ascend-910c-die"),
        ("ascend-910c", "ascend-910c"),
    ],
)
def test_spellings(name: str, expected: str) -> None:
    assert load_accelerator(name).id == expected


def test_assumptions_are_said() -> None:
    assert resolve_accelerator("h100-sxm")[1] == []
    for name, part in (
        ("ascend-910b", "910B2"),
        ("h100", "SXM"),
        ("a100-80gb (form factor not stated)", "SXM"),
        ("h20", "96 GB"),
        ("ascend-910c (A3)", "dies"),
        ("h100-sxm-80gb (page says H100 80GB)", "page says"),
    ):
        found, said = resolve_accelerator(name)
        assert len(said) == 1 and part in said[0], (found.id, said)


def test_the_usual_910b(catalog: Catalog) -> None:
    usual = [a.id for a in catalog.accelerators.values() if a.usual and a.family == "ascend-910b"]
    assert usual == [load_accelerator("ascend-910b").id]


@pytest.mark.parametrize("name", ["ambiguous: gb300/b300", "ambiguous: mi355x/mi325x/mi300x"])
def test_ambiguous(name: str) -> None:
    with pytest.raises(SizingError, match="several"):
        resolve_accelerator(name)


@pytest.mark.parametrize("name", ["", " ", "h1000", "not stated in excerpt", "x" * 500, "(x) y"])
def test_unknown(name: str) -> None:
    with pytest.raises(UnknownNameError):
        resolve_accelerator(name)


def test_suggestion() -> None:
    with pytest.raises(UnknownNameError, match="did you mean mi355x"):
        resolve_accelerator("mi351x")


def test_no_name_means_two(catalog: Catalog) -> None:
    owner: dict[str, str] = {}
    for accelerator in catalog.accelerators.values():
        for name in (accelerator.id, *accelerator.aliases, *accelerator.assumed_for):
            assert owner.setdefault(normalize(name), accelerator.id) == accelerator.id, name


@settings(deadline=None)  # the first one loads the catalog
@given(st.text(max_size=60))
def test_any_text_resolves_or_is_refused(name: str) -> None:
    try:
        found, said = resolve_accelerator(name)
    except SizingError as error:
        assert "\n" not in str(error).replace(repr(name), "")
    else:
        assert found.id and isinstance(said, list)


UNRESOLVED = (
    "ambiguous", "N/A", "not stated", "[MAXSUN]", "ascend (", "ascend-910 (", "NVIDIA Jetson",
    "AMD Instinct (",
    "80 GB card", "24 GB card", "40 GB class", "amd (",
)  # fmt: skip


@pytest.mark.shared
@pytest.mark.skipif(not (SHARED / "measurements").is_dir(), reason="the measurements are not beside the project")
@pytest.mark.parametrize(
    ("path", "column"),
    [
        ("serving/serving.csv.gz", "system"),
        ("throughput/throughput.csv.gz", "accelerator"),
        ("memory/memory.csv", "gpu"),
        ("kernels/gemm.csv.gz", "system"),
        ("kernels/moe.csv.gz", "system"),
        ("kernels/nccl.csv.gz", "system"),
    ],
)
def test_spellings_of_measurements(path: str, column: str) -> None:
    file = SHARED / "measurements" / path
    text = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    names = {row[column] for row in csv.DictReader(text.decode().splitlines())}
    for name in names - {""}:
        if name.startswith(UNRESOLVED):
            with pytest.raises(SizingError):
                resolve_accelerator(name)
        else:
            assert resolve_accelerator(name)[0].memory_bandwidth, name
