"""Serving rows: reading, weight labels and the rules about labels."""

from __future__ import annotations

import gzip
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared_files import shared

from sizing.base.errors import SizingError
from sizing.evidence.labels import RULES, reinterpret, server_accelerators
from sizing.evidence.rows_serving import Placement, parse_serving_row, read_serving_rows
from sizing.evidence.weight_labels import Weights, from_dtype, from_modes

SIZES = ("tp_size", "pp_size", "attention_dp_size", "moe_tp_size", "moe_ep_size", "batch_size", "num_workers")
COLUMNS = (
    *(
        "row",
        "backend",
        "backend_version",
        "model_path",
        "system",
        "precision",
        "mode",
        "isl",
        "osl",
        "source",
    ),
    *("gemm_quant_mode", "moe_quant_mode", "ttft_ms", "tpot_ms"),
    *(prefix + name for prefix in ("", "prefill_", "decode_") for name in SIZES),
)


def cells(**changes: str) -> dict[str, str]:
    base = {
        "row": "r1",
        "backend": "trtllm",
        "model_path": "example/moe",
        "system": "b200_sxm",
        "precision": "fp8",
        "mode": "agg",
        "isl": "1024",
        "osl": "1024",
        "batch_size": "8.0",
        "tp_size": "8.0",
        "moe_tp_size": "8.0",
        "moe_ep_size": "1.0",
    }
    return base | changes


def test_a_plain_row():
    row = parse_serving_row(cells(ttft_ms="250", tpot_ms="12.5", source="a; silicon_concurrency=8; b"))
    assert (row.engine, row.isl, row.concurrency, row.ttft_s, row.tpot_s) == (
        "tensorrt-llm",
        1024.0,
        8.0,
        0.25,
        0.0125,
    )
    assert row.placement == Placement(8, 1, 1, 8, 1, 8.0)
    assert row.placement.accelerators == 8 and row.placement.concurrency == 8.0
    assert row.predictable and reinterpret(row) == row


@pytest.mark.parametrize("blank", ["", "0", "0.0", "nan"])
def test_blank_and_zero_sizes_are_one(blank):
    row = parse_serving_row(cells(attention_dp_size=blank, pp_size=blank, moe_ep_size=blank))
    assert (row.placement.dp, row.placement.pp, row.placement.moe_ep) == (1, 1, 1)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"backend": "weird"}, "engine"),
        ({"backend": ""}, "engine is not stated"),
        ({"model_path": ""}, "model"),
        ({"system": ""}, "machine"),
        ({"isl": "x"}, "lengths"),
        ({"batch_size": ""}, "batch"),
        ({"tp_size": "", "moe_tp_size": "", "moe_ep_size": ""}, "placement"),
        ({"mode": "disagg"}, "prefill"),
        ({"mode": "other"}, "mode"),
        ({"precision": "fp3"}, "weight format"),
    ],
)
def test_problems(change, says):
    assert any(says in problem for problem in parse_serving_row(cells(**change)).problems)


def test_weights():
    assert from_modes("fp8", "fp8_block", "fp8")[0] == Weights("fp8", "fp8_block")
    assert from_modes("", "", "bf16")[0] == Weights("bf16", "bf16")
    assert from_modes("", "", "")[0] == Weights()
    assert from_modes("int4_wo", "int4_wo", "int4")[0] == Weights("bf16", "int4_gptq")
    assert from_modes("mxfp4", "mxfp4", "")[0] == Weights("bf16", "mxfp4")
    oss = Weights("bf16", "mxfp4")
    assert from_modes("nvfp4", "nvfp4", "fp4")[0].resolve(oss) == oss and oss.scheme == "mxfp4"
    assert Weights("fp8", "fp8").resolve(Weights("fp8_block", "fp8_block")) == Weights("fp8_block", "fp8_block")
    assert Weights().resolve(Weights("fp8_block", "fp8_block")).scheme == "fp8_block"
    assert Weights().resolve().scheme == "bf16"
    assert Weights("bf16", "int4_gptq").scheme == "bf16+int4_gptq"
    assert from_dtype("w8a8-int8")[0].scheme == "int8" and from_dtype("") == (Weights(), None)
    assert "not known" in (from_dtype("q7")[1] or "")


def test_every_scheme_named_here_exists():
    from sizing.evidence import weight_labels
    from sizing.model.quantization.schemes import SCHEMES

    names = set(weight_labels._MODES.values()) | set(weight_labels._PRECISIONS.values())
    for weights in weight_labels._DTYPES.values():
        names |= {weights.linear, weights.experts}
    assert names <= set(SCHEMES)


def taken(**changes: str):
    return reinterpret(parse_serving_row(cells(**changes)))


def test_squared_tensor_parallel():
    row = taken(tp_size="64", moe_tp_size="8", moe_ep_size="8")
    assert row.placement == Placement(8, 1, 1, 1, 8, 8.0) and row.notes[0].startswith("squared")
    small = taken(tp_size="4", moe_tp_size="2", moe_ep_size="2")  # fits in the server: believed
    assert small.placement.tp == 4 and not small.notes
    rack = taken(system="gb200", tp_size="64", moe_tp_size="8", moe_ep_size="8")
    assert rack.placement.tp == 64


def test_squared_data_parallel_keeps_the_requests_in_flight():
    row = taken(tp_size="1", attention_dp_size="64", moe_tp_size="8", moe_ep_size="8", batch_size="4")
    assert row.placement == Placement(1, 1, 8, 1, 8, 32.0)
    assert row.placement.concurrency == 256.0


def test_counted_twice():
    row = taken(tp_size="4", attention_dp_size="4", moe_tp_size="1", moe_ep_size="16", batch_size="2")
    assert row.placement == Placement(4, 1, 1, 1, 4, 8.0)


@pytest.mark.parametrize(("tp", "bad"), [("12", True), ("72", True), ("32", True), ("16", False), ("8", False)])
def test_deployment_total(tp, bad):
    assert taken(system="gb200", tp_size=tp, moe_tp_size=tp).predictable is not bad


def test_copied_ep():
    both = {"mode": "disagg", "prefill_tp_size": "4", "prefill_moe_ep_size": "4", "decode_tp_size": "32"}
    both |= {"decode_moe_tp_size": "8", "decode_moe_ep_size": "4", "source": "silicon_concurrency=64"}
    row = taken(**both)
    assert row.decode.moe_ep == 32 and row.decode.moe_tp == 1
    assert taken(**both, decode_num_workers="2").decode.moe_ep == 4


def test_attention_dp_and_replicas():
    row = taken(tp_size="8", moe_tp_size="1", moe_ep_size="8", batch_size="10", source="silicon_concurrency=80")
    assert (row.placement.tp, row.placement.dp, row.placement.concurrency, row.replicas) == (1, 8, 80.0, 1)
    row = taken(tp_size="2", moe_tp_size="1", moe_ep_size="1", batch_size="13", source="silicon_concurrency=416")
    assert (row.placement.tp, row.replicas) == (2, 32)


def test_rules_can_be_switched_off():
    row = parse_serving_row(cells(tp_size="64", moe_tp_size="8", moe_ep_size="8"))
    assert reinterpret(row, enabled=False) == row == reinterpret(row, rules=())
    assert len({rule.name for rule in RULES}) == len(RULES)


def test_server_sizes():
    assert [server_accelerators(x) for x in ("h100_sxm", "GB200", "gb300-nvl", "")] == [8, 72, 72, 8]


def test_reading_a_table(tmp_path):
    path = tmp_path / "rows.csv.gz"
    row = cells()
    head = [*row, "unheard_of"]
    path.write_bytes(gzip.compress((",".join(head) + "\n" + ",".join([*row.values(), "7"]) + "\n").encode()))
    assert read_serving_rows(path)[0].placement.tp == 8
    path.write_text("a,b\n1,2\n")
    with pytest.raises(SizingError, match="lacks the column backend"):
        read_serving_rows(path)


@given(st.fixed_dictionaries({}, optional={name: st.text(max_size=12) for name in COLUMNS}))
def test_no_cell_can_break_the_reader(row):
    found = reinterpret(parse_serving_row(row))
    assert isinstance(found.problems, tuple)


sizes = st.sampled_from(["", "0", "1", "2", "4", "8", "12", "16", "64", "72"])


@given(st.fixed_dictionaries({name: sizes for name in COLUMNS if name.endswith(("_size", "_workers"))}))
def test_rules_are_stable(changes):
    for mode in ("agg", "disagg"):
        once = reinterpret(parse_serving_row(cells(**(changes | {"mode": mode, "source": "silicon_concurrency=64"}))))
        again = reinterpret(replace(once, notes=()))
        assert (again.placement, again.decode) == (once.placement, once.decode)


@pytest.mark.shared
def test_the_measurements():
    rows = read_serving_rows(shared("measurements", "serving", "serving.csv.gz"))
    assert len(rows) > 2000 and not any(row.problems for row in rows)
    taken_rows = [reinterpret(row) for row in rows]
    names = Counter(note.split(":")[0] for row in taken_rows for note in row.notes)
    assert names["squared"] > 50 and names["copied-ep"] > 50 and names["deployment-total"] > 50
    for row in taken_rows:  # on every believed row the experts are split over exactly the ranks there are
        place = row.placement
        if place and row.predictable and place.moe_stated:
            assert place.moe_tp * place.moe_ep == place.tp * place.dp


@pytest.mark.shared
def test_twins_agree_with_the_rules():
    """The same measurement published under two labels has one placement once the rules are applied."""
    twins: dict[tuple[float, float], list] = {}
    for row in read_serving_rows(shared("measurements", "serving", "serving.csv.gz")):
        if row.placement and row.ttft_s and row.tpot_s:
            twins.setdefault((round(row.ttft_s, 6), round(row.tpot_s, 7)), []).append(row)
    pairs = [pair for pair in twins.values() if len(pair) == 2]
    unlike = [pair for pair in pairs if pair[0].placement != pair[1].placement]
    assert len(unlike) >= 9
    for pair in pairs:
        first, second = (reinterpret(row).placement for row in pair)
        assert first == second
