"""The API's promise: any bad value ends in one line, a SizingError; any answer goes into JSON; copies are equal."""

from __future__ import annotations

import copy
import json
import math
import pickle
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import sizing
from sizing.engine.registry import get_engine
from sizing.hardware import Catalog, load_catalog, read_catalog
from sizing.model.quantization.schemes import scheme

MODEL = "Qwen/Qwen3-0.6B"
ARCH = sizing.load_model(MODEL)
STUDY = sizing.quick_study(MODEL, input_tokens=100, output_tokens=50, rate=1, on=["l4"])


class Odd:
    """What no argument is; its repr fails."""

    def __repr__(self) -> str:
        raise RuntimeError("no text")


HOSTILE = st.one_of(
    st.sampled_from([
        None, True, "", " ", "x", "1e3", "NaN", "\0", "../..", "h100-sxm", b"x", object(), Odd(), int, len, ..., [], {}, (),
        {"a": 1}, ["a"], [[1]], {1}, 1j, -1, 0, -0.0, 1e-320, 1e308, 10**400, -(10**400), 10**5000, math.inf, -math.inf,
        math.nan, Decimal("1.5"), Decimal("NaN"), Decimal("sNaN"), Decimal("1e999999"), Fraction(1, 3),
        Fraction(10**400, 3), np.int64(3), np.int8(-1), np.float32(2.5), np.float64("nan"), np.float16("inf"), np.bool_(1),
        np.array(3), np.array([1, 2]), np.array([]), np.array("x"), np.datetime64("2026-01-01"), Path("/nowhere"),
        sizing.Placement(2), ARCH, STUDY,
    ]),
    st.integers(), st.floats(), st.text(max_size=20), st.decimals(), st.binary(max_size=5),
)  # fmt: skip


def estimate(**given: Any) -> Any:
    known = {"model": MODEL, "accelerator": "l4", "input_tokens": 100, "output_tokens": 50}
    return sizing.estimate(**{**known, **given})


def ledger(**given: Any) -> Any:
    known = {"arch": ARCH, "usable_bytes": 24e9, "placement": sizing.Placement(), "engine": get_engine("vllm"),
             "scheme": scheme("bf16")}  # fmt: skip
    return sizing.memory_ledger(**{**known, **given})


def quick(**given: Any) -> Any:
    known = {"model": MODEL, "input_tokens": 100, "output_tokens": 50, "rate": 1, "on": ["l4"]}
    return sizing.quick_study(**{**known, **given})


def placed(**given: Any) -> Any:
    return estimate(placement=sizing.Placement(**given))


def study(**given: Any) -> Any:
    known = {"model": MODEL, "workload": {"input": {"kind": "fixed", "value": 9}}, "hardware": ["l4"]}
    return sizing.Study(**{**known, **given})


def workload(**given: Any) -> Any:
    known = {"input": sizing.LengthDistribution.fixed(9), "output": sizing.LengthDistribution.fixed(9)}
    return sizing.Workload(**{**known, **given})


FUNCTIONS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "estimate": (estimate, (
        "model", "accelerator", "placement", "input_tokens", "output_tokens", "concurrency", "rate", "engine",
        "engine_version", "weights", "kv_dtype", "context", "max_num_seqs", "max_num_batched_tokens",
        "memory_utilization", "prefix_cache_hit_rate", "acceptance_rate", "acceptance_length", "speculative_tokens", "price",
        "catalog", "calibration", "target",
    )),
    "Placement": (placed, ("tp", "pp", "dp", "ep")),
    "memory_ledger": (ledger, (
        "arch", "usable_bytes", "placement", "engine", "scheme", "device_name", "kv_dtype", "context", "max_num_seqs",
        "max_num_batched_tokens", "memory_utilization", "speculative_tokens", "enforce_eager", "prefix_caching",
        "draft_weight_bytes", "strict",
    )),
    "quick_study": (quick, (
        "model", "input_tokens", "output_tokens", "rate", "on", "workload", "engine", "constraints", "money", "title",
        "version",
    )),
    "plan": (lambda **given: sizing.plan(**{"study": STUDY, **given}), ("study", "catalog", "calibration", "executor")),
    "load_model": (sizing.load_model, ("name_or_path",)),
    "load_accelerator": (lambda **given: sizing.load_accelerator(**{"name": "l4", **given}), ("name", "catalog")),
    "load_catalog": (sizing.load_catalog, ("extra_dir",)),
    "load_study": (sizing.load_study, ("path",)),
    "preset": (sizing.preset, ("name",)),
    "Study": (study, ("model", "workload", "hardware", "engine", "constraints", "money", "title", "version")),
    "Workload": (workload, (
        "name", "input", "output", "arrival", "targets", "prefix_cache_hit_rate", "thinking_output_multiplier", "images",
        "daily", "joint",
    )),
    "Targets": (sizing.Targets, (
        "ttft_p95_s", "ttft_p50_s", "tpot_p95_s", "tpot_p50_s", "e2e_p95_s", "goodput_share", "headroom",
        "spare_replicas",
    )),
    "fixed": (sizing.LengthDistribution.fixed, ("value",)),
    "uniform": (lambda **given: sizing.LengthDistribution.uniform(**{"low": 1, "high": 9, **given}), ("low", "high")),
    "lognormal": (lambda **given: sizing.LengthDistribution.lognormal(**{"mean": 9, "p95": 20, **given}), (
        "mean", "median", "p95", "sigma", "minimum", "maximum",
    )),
    "empirical": (lambda **given: sizing.LengthDistribution.empirical(**{"values": [1, 2], **given}), (
        "values", "weights",
    )),
}  # fmt: skip


def as_json(answer: Any) -> None:
    """Every answer goes into JSON."""
    if hasattr(answer, "to_dict"):
        json.dumps(answer.to_dict())
    elif hasattr(answer, "model_dump"):
        json.dumps(answer.model_dump(mode="json"))


@pytest.fixture(autouse=True)
def no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path_factory.mktemp("empty"))


@pytest.mark.parametrize("name", FUNCTIONS)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_value_gives_an_answer_or_one_line(name: str, data: st.DataObject) -> None:
    function, arguments = FUNCTIONS[name]
    chosen = data.draw(st.dictionaries(st.sampled_from(arguments), HOSTILE, min_size=1, max_size=2))
    one_line(function, chosen)


def one_line(function: Callable[..., Any], given: dict[str, Any]) -> None:
    try:
        answer = function(**given)
    except sizing.SizingError as error:
        assert str(error) and "\n" not in str(error) and len(str(error)) < 1600
        return
    as_json(answer)


EVERY = (None, True, "x", "", Odd(), [], {}, -1, 0, 10**400, 10**5000, math.inf, math.nan, Decimal("sNaN"),
         Decimal("2"), np.int64(2), np.float32(0.5), np.float64("nan"), np.array([1, 2]), 1j, b"x")  # fmt: skip


@pytest.mark.parametrize(
    ("name", "argument"), [(name, item) for name, (_, arguments) in FUNCTIONS.items() for item in arguments]
)
def test_each_argument_meets_each_hostile_value(name: str, argument: str) -> None:
    for value in EVERY:
        one_line(FUNCTIONS[name][0], {argument: value})


@pytest.mark.parametrize("value", [-1, 0, "2", None, Decimal("NaN"), 10**400, math.nan, math.inf, True, [], "x" * 9999])
@pytest.mark.parametrize("argument", ["rate", "input_tokens", "output_tokens"])
def test_a_bad_figure_is_named(argument: str, value: Any) -> None:
    with pytest.raises(sizing.SizingError, match=r"rate|requests_per_s|input|output"):
        quick(**{argument: value})


@pytest.mark.parametrize(
    ("call", "wrong", "right"),
    [
        (lambda: estimate(concurency=1), "concurency", "concurrency"),
        (lambda: sizing.estimate(MODEL, "l4", input_token=1, output_tokens=1), "input_token", "input_tokens"),
        (lambda: sizing.Placement(tensor_paralel=2), "tensor_paralel", "tp"),
        (lambda: sizing.Placement(tpp=2), "tpp", "tp"),
        (lambda: sizing.quick_study(MODEL, input_tokens=1, output_tokens=1, rates=1, on=["l4"]), "rates", "rate"),
        (lambda: quick(constraint={}), "constraint", "constraints"),
        (lambda: sizing.plan(studdy=STUDY), "studdy", "study"),
        (lambda: sizing.Targets(ttft_p59_s=1), "unknown key", "ttft_p95_s"),
        (lambda: sizing.Study(modell=MODEL), "modell", "model"),
        (lambda: sizing.load_model(name_or_pth=MODEL), "name_or_pth", "name_or_path"),
        (lambda: ledger(max_num_seq=2), "max_num_seq", "max_num_seqs"),
        (lambda: sizing.LengthDistribution.fixed(valu=2), "valu", "value"),
    ],
)
def test_a_wrong_keyword_names_the_nearest_right_one(call: Callable[[], Any], wrong: str, right: str) -> None:
    with pytest.raises(sizing.SizingError) as found:
        call()
    assert wrong in str(found.value) and right in str(found.value)


def test_too_few_and_too_many_arguments_are_said() -> None:
    for call, text in (
        (lambda: sizing.estimate(MODEL), "accelerator, input_tokens, output_tokens"),
        (lambda: sizing.Placement(1, 1, 1, 1, 1), "4 arguments"),
        (lambda: sizing.plan(STUDY, study=STUDY), "twice"),
        (lambda: sizing.Study(MODEL), "by name"),
    ):
        with pytest.raises(sizing.SizingError, match=text):
            call()  # type: ignore[no-untyped-call]


@given(kind=st.sampled_from([np.int8, np.int32, np.int64, np.uint16, np.float32, np.float64]))
@example(kind=np.int64)
def test_numbers_of_numpy_give_the_answer_of_pythons(kind: Any) -> None:
    sizes = {"input_tokens": 100, "output_tokens": 50, "concurrency": 2, "max_num_seqs": 16, "context": 120}
    own = estimate(**sizes, placement=sizing.Placement(tp=2))
    theirs = estimate(**{name: kind(size) for name, size in sizes.items()}, placement=sizing.Placement(tp=kind(2)))
    assert json.dumps(own.to_dict()) == json.dumps(theirs.to_dict())
    assert quick(rate=kind(2), input_tokens=kind(100)) == quick(rate=2, input_tokens=100)


def test_copies_of_a_catalog_are_equal(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("accelerators:\n  - {id: l4, tdp_w: 70}\n", encoding="utf-8")
    for found in (load_catalog(), load_catalog(file), read_catalog(file)):
        fresh = Catalog(found.directory, found.extra_files)
        assert found.resolve("l4")  # what is read by then goes along
        for other in (copy.copy(found), copy.deepcopy(found), pickle.loads(pickle.dumps(found)), fresh):
            assert other == found and hash(other) == hash(found)
            assert other.resolve("h100-sxm") == found.resolve("h100-sxm")
    assert load_catalog() != load_catalog(file) and load_catalog() != "catalog"
    before = read_catalog(file)
    file.write_text("accelerators:\n  - {id: l4, tdp_w: 71}\n", encoding="utf-8")
    assert read_catalog(file) != before
