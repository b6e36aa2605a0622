"""One estimate: its parts agree with each other, and bad input names its key."""

from __future__ import annotations

import numpy as np
import pytest

from sizing.base.errors import PlacementError, SizingError
from sizing.base.ledger import Interval, Spread
from sizing.engine.placement import Placement
from sizing.model.sources import load_model
from sizing.planning.estimate import check_context, check_length, estimate, resolve_price, running_limit
from sizing.planning.target import resolve_target
from sizing.step.operations import StepShape

LENGTHS = {"input_tokens": 2000, "output_tokens": 500}


@pytest.fixture(scope="module")
def dense():
    return resolve_target("Qwen/Qwen3-32B", "h100-sxm")


@pytest.fixture(scope="module")
def mixture():
    return resolve_target("Qwen/Qwen3-235B-A22B", "h200-sxm")


def run(target, place, **more):
    return estimate("", "", place, target=target, **{**LENGTHS, **more})


def test_intervals() -> None:
    found = Interval.around(100.0, Spread(0.8, 1.25, ()))
    assert found == Interval(80.0, 100.0, 125.0)
    assert found.inverse_of(1000.0) == Interval(8.0, 10.0, 12.5)


def test_little_s_law(dense) -> None:
    """Requests in the system = requests per second x time in the system."""
    for held in (1, 8, 64):
        found = run(dense, Placement(4), concurrency=held)
        rate = found.throughput["requests_per_s"].p50
        assert rate * float(found.steady.end_to_end_s) == pytest.approx(held, rel=0.05)


def test_the_step_is_the_sum_of_its_lines(dense) -> None:
    found = run(dense, Placement(2), concurrency=16)
    total = sum(float(np.sum(line.seconds)) for line in found.decode_step)
    # tokens come at the pace of a step, stretched by the others' prefills
    assert total <= found.latency["tpot_s"].p50 * 1.001
    assert total > 0.3 * found.latency["tpot_s"].p50


def test_decode_alone_is_bounded_by_reading_the_weights(dense) -> None:
    found = run(dense, Placement(1), concurrency=1, input_tokens=100, output_tokens=100)
    reading = 31.98e9 * 2 / 3.35e12  # all parameters but the input embedding, 2 bytes each, at 3.35 TB/s: 19.1 ms
    assert found.latency["tpot_s"].p50 > reading
    assert found.latency["tpot_s"].p50 < 2.5 * reading


def test_a_rate_is_carried_by_the_least_load(dense) -> None:
    asked = run(dense, Placement(4), rate=2.0)
    assert asked.throughput["requests_per_s"].p50 == pytest.approx(2.0, rel=0.03)
    again = run(dense, Placement(4), concurrency=max(asked.concurrency, 1.0))
    assert again.throughput["requests_per_s"].p50 == pytest.approx(2.0, rel=0.03)


def test_a_rate_beyond_the_replica_says_how_many(dense) -> None:
    with pytest.raises(SizingError, match=r"plan for \d+ or more replicas"):
        run(dense, Placement(2), rate=1000)


def test_cost_is_the_hour_over_the_tokens(dense) -> None:
    found = run(dense, Placement(2), concurrency=32, price=3.0)
    assert found.usd_per_hour == 6.0 and found.cost is not None
    rate = found.throughput["requests_per_s"].p50
    paid = 2000 * found.cost.usd_per_million_input_tokens + 500 * found.cost.usd_per_million_output_tokens
    assert float(paid) / 1e6 * rate * 3600 == pytest.approx(6.0)
    costs = found.cost_intervals()
    assert costs is not None
    assert all(item.p10 < item.p50 < item.p90 for item in costs.values())


def test_a_cached_prefix_saves_prefill(dense) -> None:
    cold, warm = (run(dense, Placement(2), concurrency=16, prefix_cache_hit_rate=f) for f in (0.0, 0.9))
    assert warm.latency["ttft_s"].p50 < cold.latency["ttft_s"].p50
    assert warm.throughput["requests_per_s"].p50 > cold.throughput["requests_per_s"].p50


def test_data_parallel_ranks_share_the_load(mixture) -> None:
    one = run(mixture, Placement(8, 1, 1, 8), concurrency=32)
    many = run(mixture, Placement(2, 1, 4, 8), concurrency=32)
    assert one.concurrency == many.concurrency == 32
    assert many.to_dict()["accelerators"] == 8


def test_the_running_limit_is_what_the_cache_holds(dense) -> None:
    found = run(dense, Placement(2))
    limit = float(running_limit(dense, Placement(2), found.memory.load, 2250))
    pool = found.memory.kv_pool_tokens / 2250
    assert limit == pytest.approx(min(pool, found.memory.load.max_num_seqs), rel=0.02)
    assert found.concurrency == pytest.approx(limit)


def test_no_price_is_said_and_not_zero(dense) -> None:
    usd, price, said = resolve_price(dense, None)
    assert usd is not None and price is not None and usd > 0.5
    assert any("quotes" in text for text in said)
    assert resolve_price(dense, {"h100-sxm": 1.5})[0] == 1.5
    for wrong in (-1.0, float("nan"), float("inf")):
        with pytest.raises(SizingError, match="--price"):
            resolve_price(dense, wrong)


def test_ascend_has_a_derived_price_with_its_assumptions() -> None:
    usd, price, said = resolve_price(resolve_target("Qwen/Qwen3-32B", "ascend-910b"), None)
    assert usd and price is not None and price.derived
    assert any("electricity" in text for text in said)


def test_contexts() -> None:
    arch = load_model("Qwen/Qwen3-32B")
    assert check_context(arch, 30_000) == []
    assert "YaRN" in check_context(arch, 100_000)[0]
    with pytest.raises(SizingError, match="131,072"):
        check_context(arch, 131_073)


@pytest.mark.parametrize("value", [None, 0, -1, float("nan"), float("inf"), 1e9])
def test_lengths(value: float | None) -> None:
    with pytest.raises(SizingError, match="--input"):
        check_length(value, "--input")


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ({"concurrency": 1, "rate": 1}, "--rate"),
        ({"prefix_cache_hit_rate": 2}, "--prefix-cache-hit-rate"),
        ({"speculative_tokens": -1}, "--speculative-tokens"),
        ({"acceptance_length": 3.0, "speculative_tokens": 1}, "--acceptance-length"),
        ({"rate": 0}, "--rate"),
        ({"context": 0, "memory_utilization": 2.0}, "--memory-utilization"),
    ],
)
def test_what_is_refused(dense, more, key: str) -> None:
    with pytest.raises(SizingError, match=key):
        run(dense, Placement(2), **more)


def test_placements_that_the_engine_refuses_carry_the_rule(dense) -> None:
    with pytest.raises(PlacementError) as caught:
        run(dense, Placement(3))
    assert caught.value.rule == "heads_not_divisible"
    with pytest.raises(SizingError, match="does not fit"):
        estimate("deepseek-ai/DeepSeek-V3", "h100-sxm", Placement(8), **LENGTHS)


def test_no_more_comes_out_than_is_sent() -> None:
    light, heavy = (
        estimate("Qwen/Qwen3-32B", "h100-sxm", Placement(tp=2), input_tokens=1000, output_tokens=500, rate=rate)
        for rate in (1.0, 0.98 * most_of("Qwen/Qwen3-32B"))
    )
    for found in (light, heavy):
        carried = found.throughput["requests_per_s"]
        assert carried.p10 <= carried.p50 == carried.p90
    assert light.throughput["requests_per_s"].p10 == light.throughput["requests_per_s"].p50
    assert heavy.throughput["requests_per_s"].p10 < 0.9 * heavy.throughput["requests_per_s"].p50


def most_of(model: str) -> float:
    found = estimate(model, "h100-sxm", Placement(tp=2), input_tokens=1000, output_tokens=500)
    return found.throughput["requests_per_s"].p50


def test_verified_drafts_are_paid_for(dense) -> None:
    """With 3 drafts each step works on 4 tokens a sequence, whatever is accepted of them; see the rows of the products."""
    for held in (1, 128):
        plain = run(dense, Placement(2), concurrency=held)
        drafted = run(dense, Placement(2), concurrency=held, speculative_tokens=3, acceptance_length=1.0)
        for found, each in ((plain, 1), (drafted, 4)):
            head = next(line.operation for line in found.decode_step if line.operation.name == "lm_head")
            rows = float(found.steady.decoding) * each
            assert float(head.flops) == pytest.approx(2 * rows * 151936 / 2 * 5120)
        assert float(drafted.steady.decode_step_s) > float(plain.steady.decode_step_s)
        assert drafted.latency["tpot_s"].p50 > plain.latency["tpot_s"].p50
    # 4 x 127 rows take longer than the weights need to be read: what was memory-bound is bound by its products
    assert float(drafted.steady.decode_step_s) > 1.4 * float(plain.steady.decode_step_s)


def test_alone_a_token_takes_a_step_over_what_is_accepted(dense) -> None:
    """One request on 2 accelerators: TPOT = step of 1 + drafts tokens at the mean context / tokens gained a step."""
    for drafts, gained in ((0, 1.0), (3, 1.0), (3, 2.5)):
        found = run(dense, Placement(2), concurrency=1, speculative_tokens=drafts, acceptance_length=gained)
        shape = StepShape(decode_seqs=1.0, decode_context=2000 + 500 / 2, tokens_per_decode=1.0 + drafts)
        step = float(dense.step.seconds(shape, Placement(2)))
        assert float(found.steady.decode_step_s) == pytest.approx(step, rel=1e-9)
        assert sum(float(line.seconds) for line in found.decode_step) == pytest.approx(step, rel=1e-9)
        assert found.latency["tpot_s"].p50 == pytest.approx(step / gained, rel=1e-9)
