"""What fits goes into the memory: on every accelerator of the catalog, under every engine; reasons add up."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import sizing
from sizing.base.errors import SizingError
from sizing.deploy import deployment_files
from sizing.deploy.plan_spec import spec_of
from sizing.engine.base import GIB, Device
from sizing.engine.placement import Placement
from sizing.engine.registry import engine_names, get_engine
from sizing.hardware import load_catalog
from sizing.memory.fit import shortage
from sizing.memory.ledger import MemoryLedger, memory_ledger
from sizing.memory.terms import memory_terms, resolve_load
from sizing.model.quantization.schemes import scheme
from sizing.planning.target import resolve_target
from sizing.report.text import Messages

MODELS = ("Qwen/Qwen3-0.6B", "Qwen/Qwen3-8B", "Qwen/Qwen2.5-VL-7B-Instruct", "Qwen/Qwen3-30B-A3B",
          "openai/gpt-oss-20b", "deepseek-ai/DeepSeek-R1")  # fmt: skip
PLACEMENTS = (Placement(), Placement(4), Placement(2, 2), Placement(1, 1, 8, 8), Placement(2, 1, 16, 32))
CATALOG = load_catalog()


def taken(ledger: MemoryLedger) -> float:
    parts = (ledger.weights_bytes, ledger.activation_bytes, ledger.runtime_bytes, ledger.graphs_bytes)
    return sum(parts) + ledger.kv_pool_bytes


def ledgers(model: str, engine: str, accelerators: list[str] | None = None, **flags: object) -> list[MemoryLedger]:
    """The ledgers of a model on every accelerator (or these) that runs it under an engine."""
    found = []
    for name in accelerators or CATALOG.accelerators:
        try:
            aim = resolve_target(model, name, engine=engine, catalog=CATALOG)
        except SizingError:
            continue
        for place in PLACEMENTS:
            found.append(
                memory_ledger(
                    aim.arch, aim.accelerator.usable_bytes, place, aim.engine, aim.scheme, device_name=name,
                    kv_dtype=aim.kv, strict=False, **{"context": 4096, **flags},  # type: ignore[arg-type]
                )
            )  # fmt: skip
    return found


@pytest.mark.parametrize("engine", engine_names())
@pytest.mark.parametrize("model", MODELS)
def test_what_fits_goes_into_the_memory_of_every_accelerator(model: str, engine: str) -> None:
    found = ledgers(model, engine)
    assert found or engine == "mindie" or engine == "vllm-ascend"
    for ledger in found:
        assert 0.0 < ledger.load.utilization < 1.0
        assert taken(ledger) <= ledger.usable_bytes + 1.0 or not ledger.fits
        shown = {line.name: line.value for line in ledger.lines}
        assert taken(ledger) + shown["kept free"] == pytest.approx(ledger.usable_bytes)
        assert ledger.fits is (ledger.shortage is None)


@given(
    model=st.sampled_from(MODELS),
    engine=st.sampled_from(engine_names()),
    accelerator=st.sampled_from(sorted(CATALOG.accelerators)),
    fraction=st.none() | st.floats(0.01, 1.0),
    seqs=st.none() | st.integers(1, 4096),
    tokens=st.none() | st.integers(16, 65536),
    context=st.integers(1, 131_072),
    drafts=st.sampled_from([0, 1, 3]),
)
@settings(max_examples=200, deadline=None)
def test_no_flags_make_a_ledger_above_the_memory_fit(
    model: str, engine: str, accelerator: str, fraction: float | None, seqs: int | None, tokens: int | None,
    context: int, drafts: int,
) -> None:  # fmt: skip
    found = ledgers(model, engine, [accelerator], memory_utilization=fraction, max_num_seqs=seqs, context=context,
                    max_num_batched_tokens=tokens, speculative_tokens=drafts)  # fmt: skip
    assume(found)
    for ledger in found:
        assert not ledger.fits or taken(ledger) <= ledger.usable_bytes + 1.0
        assert fraction is None or ledger.load.utilization == fraction
        if ledger.shortage is not None and (ledger.refusal is None or ledger.refusal.code != "state_blocks"):
            adds_up(ledger.shortage)


def adds_up(text: str) -> None:
    """Whether the sum that a reason prints is the sum of the parts that it prints."""
    parts = [float(item) for item in re.findall(r"(?:weights|peak|runtime|graphs|free|pool) (-?[\d.]+)", text)]
    if " leave " in text:
        left, total = re.findall(r"leave ([\d.]+) of ([\d.]+) GiB", text)[0]
        assert sum(parts) + float(left) == pytest.approx(float(total), abs=1e-6), text
    else:
        taken, total = re.findall(r"are ([\d.]+) GiB per accelerator, more than its ([\d.]+) GiB", text)[0]
        assert sum(parts) == pytest.approx(float(taken), abs=1e-6) and float(taken) > float(total), text


SIZES = st.floats(0.001, 200.0)


@given(total=st.floats(1.0, 300.0), sizes=st.tuples(SIZES, SIZES, SIZES, SIZES), share=st.floats(-0.5, 1.0))
def test_every_reason_adds_up_and_is_told_in_chinese(
    total: float, sizes: tuple[float, float, float, float], share: float
) -> None:
    usable, terms = total * GIB, tuple(size * GIB for size in sizes)
    text = shortage(usable, terms, share * usable, 0.9, 4096, 0.8)  # type: ignore[arg-type]
    assume(abs(sum(sizes) - total) > 1e-4)
    adds_up(text)
    assert re.search("[一-鿿]", Messages("zh").phrase(text)) and "weights" not in Messages("zh").phrase(text)


def test_sglang_takes_a_fraction_for_each_layout() -> None:
    aim = resolve_target("deepseek-ai/DeepSeek-V3", "h100-sxm", engine="sglang")
    layouts = [Placement(8), Placement(1, 1, 8, 8), Placement(8, 2), Placement(1, 1, 32, 32), Placement(16, 1, 1, 16)]
    flat = Placement(*(np.array([getattr(item, axis) for item in layouts]) for axis in ("tp", "pp", "dp", "ep")))
    together = aim.engine.default_utilization(aim.device, flat, aim.arch)
    apart = [float(aim.engine.default_utilization(aim.device, item, aim.arch)) for item in layouts]
    assert list(together) == apart
    assert len(set(apart)) == 4 and all(0 < item < 1 for item in apart)
    load = resolve_load(aim.engine, aim.device, aim.arch, flat, context=8192)
    terms = memory_terms(aim.arch, aim.device, flat, aim.engine, aim.scheme, load, kv_dtype=aim.kv)
    for row, place in enumerate(layouts):
        load = resolve_load(aim.engine, aim.device, aim.arch, place, context=8192)
        alone = memory_terms(aim.arch, aim.device, place, aim.engine, aim.scheme, load, kv_dtype=aim.kv)
        for name in ("pool", "utilization", "left", "max_concurrency"):
            assert getattr(terms, name)[row] == float(getattr(alone, name))


def test_wide_data_parallel_attention_gets_a_fraction_that_works() -> None:
    ledger = ledgers("deepseek-ai/DeepSeek-V3", "sglang", ["h100-sxm"])[-1]  # TP2 DP16 EP32
    assert ledger.fits and 0.5 < ledger.load.utilization < 0.95
    assert any("the default of sglang" in text and "memory fraction" in text for text in ledger.assumptions)


def test_mindie_holds_the_configuration_of_its_own_guides() -> None:
    aim = resolve_target("deepseek-ai/DeepSeek-R1", "ascend-910b", engine="mindie", weights="int8")
    ledger = memory_ledger(aim.arch, aim.accelerator.usable_bytes, Placement(4, 1, 4, 16), aim.engine, aim.scheme,
                           device_name=aim.accelerator.id, kv_dtype=aim.kv, context=4096)  # fmt: skip
    assert ledger.fits and 0.92 <= ledger.load.utilization <= 0.96
    given_one = memory_ledger(aim.arch, aim.accelerator.usable_bytes, Placement(4, 1, 4, 16), aim.engine, aim.scheme,
                              device_name=aim.accelerator.id, kv_dtype=aim.kv, context=4096,
                              memory_utilization=0.8)  # fmt: skip
    assert not given_one.fits and given_one.load.utilization == 0.8


def test_a_fraction_found_is_the_highest_that_leaves_room_for_the_rest() -> None:
    arch = sizing.load_model("Qwen/Qwen3-30B-A3B")
    engine = get_engine("sglang")
    for total in (80, 62, 60, 59):
        device = Device(total * GIB, "h100-sxm")
        load = resolve_load(engine, device, arch, Placement(), context=4096)
        terms = memory_terms(arch, device, Placement(), engine, scheme("bf16"), load)
        if float(terms.utilization) == float(load.utilization):
            continue
        more = replace(load, utilization=float(terms.utilization) + 0.02, automatic=False)
        beyond = memory_terms(arch, device, Placement(), engine, scheme("bf16"), more)
        assert bool(terms.fits) and float(beyond.left) < float(terms.left)


def test_the_fraction_that_is_planned_is_the_one_that_is_launched() -> None:
    study = sizing.quick_study("deepseek-ai/DeepSeek-R1", input_tokens=1000, output_tokens=500, rate=1,
                               on=["ascend-910b"], engine={"names": ["mindie"]},
                               constraints={"max_nodes": 2, "tensor_parallel": [4], "data_parallel": [4]})  # fmt: skip
    best = sizing.plan(study).best
    assert best is not None and best.memory_utilization is not None and best.memory_utilization > 0.8
    assert any(f"memory fraction {best.memory_utilization:g}" in text for text in best.assumptions)
    used = sum(best.memory_gib[part] for part in ("weights", "activation", "runtime", "graphs", "kv_pool"))
    assert used <= best.memory_gib["usable"]
    spec = spec_of(sizing.plan(study))
    assert spec.memory_utilization == best.memory_utilization
    assert f"NPU_MEMORY_FRACTION={best.memory_utilization:g}" in "".join(deployment_files(spec, "command").values())
