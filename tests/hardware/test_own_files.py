"""A user's own YAML: adding, overriding, and being refused in one clear line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sizing.base.errors import SizingError
from sizing.hardware import check_file, load_accelerator, load_catalog, read_catalog
from sizing.hardware.loader import catalog_dir

Write = Callable[[str], Path]

NEW = """
accelerators:
- id: my-chip
  name: My chip
  vendor: Me
  family: hopper
  architecture: mine
  aliases: [mychip9]
  memory: {nominal_gb: 100, usable_gib: 90.5, basis: driver}
  memory_bandwidth_gb_s: 3000
  dense_peak_tflops: {bf16: 500, fp16: 500, fp8: 1000}
  interconnect: {type: NVLink, gb_s_per_direction: 300}
  tdp_w: 600
  max_per_server: 8
  sources: [{fields: [all], ref: mine, says: measured}]
"""


def test_new_accelerator(own_file: Write) -> None:
    path = own_file(NEW)
    catalog = load_catalog(path.parent)
    chip = load_accelerator("MyChip9", catalog)
    assert chip.peak_flops("fp8") == 1e15 and chip.runs_weights("fp8") == "native"
    assert "my-chip" not in load_catalog().accelerators
    assert check_file(path) == []


def test_partial_override_keeps_the_rest(own_file: Write) -> None:
    catalog = load_catalog(own_file("accelerators: [{id: h100-sxm, tdp_w: 500, memory: {usable_gib: 78.0}}]"))
    own, before = load_accelerator("h100_sxm", catalog), load_accelerator("h100-sxm")
    assert own.tdp_w == 500 and own.memory.usable_gib == 78
    assert own.memory.nominal_gb == before.memory.nominal_gb
    assert own.dense_peak_tflops == before.dense_peak_tflops


def test_override_reaches_the_slices(own_file: Write) -> None:
    catalog = load_catalog(own_file("accelerators: [{id: h100-sxm, memory_bandwidth_gb_s: 3000}]"))
    assert load_accelerator("h100-mig-3g.40gb", catalog).memory_bandwidth == 1500e9


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("accelerators: [{id: h100-sxm, tdp_watt: 5}]", "did you mean tdp_w"),
        ("accelerators: [{id: h100-sxm, memory: {usable_gb: 5}}]", "did you mean usable_gib"),
        ("accelerators: [{id: h100-sxm, tdp_w: -5}]", "tdp_w: Input should be greater than 0"),
        ("accelerators: [{id: h100-sxm, tdp_w: .inf}]", "finite"),
        ("accelerators: [{id: h100-sxm, tdp_w: .nan}]", "tdp_w"),
        ("accelerators: [{id: h100-sxm, tdp_w: true}]", "valid number"),
        ("accelerators: [{id: h100-sxm, tdp_w: '700'}]", "without quotes"),
        ("accelerators: [{id: h100-sxm, tdp_w: 7e2}]", "8.0e+9"),
        ("accelerators: [{id: h100-sxm, tdp_w: many}]", "valid number"),
        ("accelerators: [{id: h100-sxm, family: hoper}]", "did you mean hopper"),
        ("accelerators: [{id: brand-new, family: hopper}]", "Field required"),
        ("accelerators: [{tdp_w: 5}]", "has no id"),
        ("accelerators: [{id: a}, {id: a}]", "appears twice"),
        ("accelerators: {id: a}", "must be a list"),
        ("accelerator: []", "did you mean accelerators"),
        ("- 1", "top level must be a mapping"),
        ("a: [", "not valid YAML"),
        ("accelerators: !!python/object/apply:os.system [ls]", "tags"),
        ("accelerators: [{id: h100-sxm, tdp_w: 5, tdp_w: 6}]", "appears twice"),
        (
            "servers: [{id: s, name: s, accelerator: h999, accelerator_count: 1, intra_node: {fabric: x}}]",
            "unknown",
        ),
        ("a: " + "[" * 40 + "]" * 40, "nested deeper"),
        ("a: &a [1]\nb: &b [*a, *a]\n", "aliases"),
        ("a: &a [1]\n" + "".join(f"b{i}: *a\n" for i in range(40)), "aliases"),
        ("a: \x00", "not valid YAML"),
    ],
)
def test_refused_in_one_line(own_file: Write, text: str, part: str) -> None:
    path = own_file(text)
    with pytest.raises(SizingError) as caught:
        catalog = load_catalog(path)
        _ = catalog.accelerators, catalog.servers
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "mine.yaml" in str(caught.value)
    findings = check_file(path)
    assert {finding.level for finding in findings} == {"error"}
    assert any(part in str(finding) for finding in findings)


def test_too_large(own_file: Write) -> None:
    with pytest.raises(SizingError, match="larger than"):
        _ = load_catalog(own_file("# " + "x" * 2_000_000)).accelerators


def test_not_text(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"\xff\xfe\x00bad")
    with pytest.raises(SizingError, match="UTF-8"):
        _ = load_catalog(path).accelerators


def test_no_such_directory(tmp_path: Path) -> None:
    with pytest.raises(SizingError, match="no such"):
        load_catalog(tmp_path / "none")


@pytest.mark.parametrize(
    ("text", "key", "part"),
    [
        ("{id: h100-sxm, dense_peak_tflops: {bf16: 1979}}", "dense_peak_tflops.bf16", "sparse"),
        ("{id: h100-sxm, dense_peak_tflops: {fp8: 3958}}", "dense_peak_tflops.fp8", "sparse"),
        ("{id: h100-sxm, memory_bandwidth_gb_s: 3.35}", "memory_bandwidth_gb_s", "TB/s"),
        ("{id: h100-sxm, memory: {nominal_gb: 80.0e+9}}", "memory.nominal_gb", "bytes"),
        ("{id: h100-sxm, memory: {usable_gib: 85}}", "memory.usable_gib", "plausible"),
        ("{id: h100-sxm, tdp_w: 0.7}", "tdp_w", "kW"),
        (
            "{id: h100-sxm, interconnect: {gb_s_per_direction: 900}}",
            "interconnect.gb_s_per_direction",
            "both",
        ),
        ("{id: h100-sxm, dense_peak_tflops: {bf16: 9.89e+14}}", "dense_peak_tflops.bf16", "FLOP/s"),
    ],
)
def test_implausible(own_file: Write, text: str, key: str, part: str) -> None:
    findings = check_file(own_file(f"accelerators: [{text}]"))
    assert any(f.key == key and part in f.message for f in findings), [str(f) for f in findings]


def test_taken_alias(own_file: Write) -> None:
    findings = check_file(own_file(NEW.replace("mychip9", "H100_SXM")))
    assert [f.key for f in findings] == ["aliases"]


def test_implausible_server_and_price(own_file: Write) -> None:
    path = own_file(
        "servers: [{id: dgx-h100, max_power_kw: 1.0, intra_node: {gb_s_per_direction: 900}}]\n"
        "rental_quotes: [{item: x, accelerator: h100-sxm, provider: p, term: on-demand, "
        "price_per_hour: 400, source: s}]"
    )
    assert {f.key for f in check_file(path)} == {
        "max_power_kw", "intra_node.gb_s_per_direction", "price_per_hour", "date",
    }  # fmt: skip


@pytest.mark.parametrize("path", sorted(catalog_dir().glob("*.yaml")), ids=lambda path: path.name)
def test_built_in_files_are_plausible(path: Path) -> None:
    findings = check_file(path)
    assert [str(f) for f in findings if f.level == "error" or f.key != "date"] == []


def test_import_is_light() -> None:
    code = "import sys, sizing.hardware; print(sorted({'yaml', 'pydantic'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_file_that_is_read_once_may_go_away_and_is_not_kept(own_file: Write) -> None:
    from sizing.hardware.loader import _catalog

    path = own_file(NEW)
    kept = _catalog.cache_info().currsize
    catalog = read_catalog(path)
    assert check_file(path) == []
    path.unlink()
    assert catalog.accelerators["my-chip"].usable_bytes == 90.5 * 2**30
    assert _catalog.cache_info().currsize == kept
    assert (_catalog.cache_info().maxsize or 10**9) <= 16
