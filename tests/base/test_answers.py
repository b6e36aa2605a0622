"""Every answer shows itself: a short summary, a notebook's table, a document, a flat row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sizing
from sizing.base.answers import MOST_LINES, WIDE, Answer, flat

SCALAR = (str, int, float, bool, type(None))


def the_estimate() -> sizing.Estimate:
    return sizing.estimate(
        "Qwen/Qwen3-32B", "h100-sxm", sizing.Placement(tp=2), input_tokens=1000, output_tokens=200, concurrency=8
    )


def the_plan() -> sizing.Result:
    return sizing.plan(
        sizing.quick_study("Qwen/Qwen3-8B", input_tokens=1000, output_tokens=200, rate=2, on=["h100-sxm"])
    )


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Answer]:
    trace = tmp_path_factory.mktemp("traces") / "t.csv"
    trace.write_text(
        "arrival_s,input_tokens,output_tokens,measured_ttft_s,measured_tpot_s\n0,900,90,0.05,0.009\n1,500,50,0.04,0.009\n"
    )
    found = the_plan()
    assert found.best is not None
    compared = sizing.compare(["qwen3-8b", "qwen3-32b"], ["h100-sxm", "l4"])
    claimed = sizing.claim("Qwen3-32B: $0.07 per million tokens on H100")
    return {
        "estimate": the_estimate(),
        "result": found,
        "plan": found.best,
        "memory": the_estimate().memory,
        "comparison": compared,
        "comparison row": compared.rows[0],
        "examination": claimed,
        "finding": claimed.findings[0],
        "calibration": sizing.calibrate(trace, "h100-sxm", model="qwen3-8b"),
        "replay": sizing.replay(trace, "qwen3-8b", "h100-sxm"),
        "simulation": sizing.simulate(
            "qwen3-8b", "h100-sxm", workload=sizing.preset("chat"), rate=np.float64(1.0), requests=60
        ),
    }


KINDS = ("estimate", "result", "plan", "memory", "comparison", "comparison row", "examination", "finding", "calibration",
         "replay", "simulation")  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_it_prints_in_a_screen(answers: dict[str, Answer], kind: str) -> None:
    text = str(answers[kind])
    lines = text.splitlines()
    assert 1 <= len(lines) <= MOST_LINES
    assert max(map(len, lines)) <= WIDE + 30
    assert "np." not in text and "Interval(" not in text
    assert len(repr(answers[kind])) < 200 and "\n" not in repr(answers[kind])
    assert answers[kind]._repr_html_().startswith("<table>")


@pytest.mark.parametrize("kind", KINDS)
def test_its_row_is_flat_and_plain(answers: dict[str, Answer], kind: str) -> None:
    row = answers[kind].to_row()
    assert all(type(value) in SCALAR for value in row.values()), row
    json.dumps(answers[kind].to_dict(), allow_nan=False)
    if kind != "comparison":
        assert len(row) > 4


def test_rows_make_a_table(answers: dict[str, Answer]) -> None:
    pandas = pytest.importorskip("pandas")
    rows = [
        sizing.estimate("qwen3-8b", "h100-sxm", input_tokens=500, output_tokens=100, concurrency=n).to_row()
        for n in (1, 4)
    ]
    frame = pandas.DataFrame(rows)
    assert list(frame["workload_concurrency"]) == [1.0, 4.0]
    assert (frame["throughput_requests_per_s_p50"] > 0).all()


def test_figures_are_attributes() -> None:
    answer = the_estimate()
    assert answer.throughput.requests_per_s is answer.throughput["requests_per_s"]
    assert answer.latency.tpot_s.p50 == answer.to_row()["latency_tpot_s_p50"]
    assert answer.throughput.total_tokens_per_s.p50 > answer.throughput.output_tokens_per_s.p50


def test_dir_lists_the_public_names() -> None:
    assert set(dir(sizing)) == {*sizing.__all__, "__version__"}


def test_a_wrong_keyword_names_the_nearest() -> None:
    with pytest.raises(sizing.SizingError, match="input_tokens"):
        sizing.estimate("qwen3-8b", "h100-sxm", input_token=5, output_tokens=1)  # type: ignore[call-arg]


def test_deploy_gives_and_writes_the_same_files(tmp_path: Path) -> None:
    answer = the_plan()
    given = sizing.deploy(answer, kind="all", date="2026-11-30")
    written = sizing.deploy(answer, tmp_path / "new", kind="all", date="2026-11-30")
    assert given == written == {item.name: item.read_text() for item in (tmp_path / "new").iterdir()}
    with pytest.raises(sizing.SizingError, match="--plan"):
        sizing.deploy(answer, plan=0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: sizing.claim(3),  # type: ignore[arg-type]
        lambda: sizing.validate("rows.csv", "colours"),  # type: ignore[arg-type]
        lambda: sizing.validate(3),  # type: ignore[arg-type]
        lambda: sizing.deploy("no result"),  # type: ignore[arg-type]
        lambda: sizing.simulate("qwen3-8b", "h100-sxm", workload=sizing.preset("chat"), rate=-1.0),
        lambda: sizing.simulate("qwen3-8b", "h100-sxm", workload=sizing.preset("chat"), rate=1.0, requests=0),
        lambda: sizing.simulate("qwen3-8b", "h100-sxm", workload="chat", rate=1.0),  # type: ignore[arg-type]
        lambda: sizing.read_trace("no-such-file.csv"),
        lambda: sizing.calibrate(3, "h100-sxm"),  # type: ignore[arg-type]
        lambda: sizing.calibrate([], "h100-sxm"),
        lambda: sizing.calibrate("no-such-file.json", "h100-sxm"),
        lambda: sizing.calibrate("no-such-file.csv", "h100-sxm"),
        lambda: sizing.replay("no-such-file.csv", "qwen3-8b", "h100-sxm"),
        lambda: sizing.replay("no-such-file.csv", "qwen3-8b", "h100-sxm", speed=3),
    ],
)
def test_bad_values_are_errors_for_people(call: Any) -> None:
    with pytest.raises(sizing.SizingError) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_flat_counts_long_lists() -> None:
    assert flat({"a": [1] * 40, "b": {"c": {"d": np.int64(3)}}}) == {"a": 40, "b_c_d": 3}


def test_old_keywords_work_with_a_note() -> None:
    new = sizing.estimate("qwen3-8b", "h100-sxm", input_tokens=500, output_tokens=100, prefix_cache_hit_rate=0.5)
    with pytest.warns(FutureWarning, match="prefix_cache_hit_rate"):
        old = sizing.estimate("qwen3-8b", "h100-sxm", input_tokens=500, output_tokens=100, cached_fraction=0.5)  # type: ignore[call-arg]
    assert old.to_dict() == new.to_dict()
    with pytest.raises(sizing.SizingError, match="cached_fraction"):
        sizing.estimate(  # type: ignore[call-arg]
            "qwen3-8b", "h100-sxm", input_tokens=5, output_tokens=1, cached_fraction=0.5, prefix_cache_hit_rate=0.5
        )
