"""Budgets: what they count, that nobody swallows them, and that a search without one is as it was."""

from __future__ import annotations

import contextlib
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest

from sizing.base.budget import Budget, BudgetError, spend
from sizing.base.errors import SizingError
from sizing.claims import examine, parse_claim
from sizing.model.config import parse_config
from sizing.planning.capacity import capacity
from sizing.planning.compare import compare
from sizing.planning.planner import plan
from sizing.planning.target import resolve_target
from sizing.study import Study, parse_study


def study(**parts: object) -> Study:
    return parse_study({"model": "Qwen/Qwen3-8B", "workload": "chat", "hardware": ["h100-sxm", "l40s"], **parts})


class Clock:
    """A clock that goes on by one second whenever it is read."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def test_a_search_without_a_budget_and_within_one_is_the_same() -> None:
    with Budget(max_candidates=10**9, seconds=1e6, cancelled=lambda: False) as budget:
        inside = plan(study())
    assert inside == plan(study())
    assert 0 < budget.spent <= inside.evaluated * 3  # the placements tried are counted too, what doesn't fit is not


def test_what_a_wide_search_costs_is_refused_before_it_is_paid() -> None:
    wide = study(model="deepseek-ai/DeepSeek-V3", hardware=["h100-sxm", "h200-sxm"], constraints={"max_nodes": 64})
    with pytest.raises(BudgetError) as caught, Budget(max_candidates=50_000) as budget:
        plan(wide)
    assert caught.value.exceeded == "candidates" and caught.value.most == 50_000
    assert "50,000 candidates" in str(caught.value) and "max_nodes" in str(caught.value)
    with Budget() as unbound:
        plan(study(model="deepseek-ai/DeepSeek-V3", hardware=["h100-sxm"], constraints={"max_nodes": 64}))
    assert budget.spent < unbound.spent


@pytest.mark.parametrize(
    "search",
    [
        lambda: plan(study()),
        lambda: plan(study(engine={"disaggregated": "on"})),
        lambda: compare(["Qwen/Qwen3-8B"], ["h100-sxm"]),
        lambda: examine(parse_claim("$0.07 per million input tokens, Qwen3-32B, H100")),
        lambda: capacity(resolve_target("Qwen/Qwen3-8B", "h100-sxm"), 1000, 1000),
    ],
    ids=["plan", "pools", "compare", "claim", "capacity"],
)
def test_every_search_keeps_each_bound(search: object) -> None:
    assert callable(search)
    for budget, exceeded in (
        (Budget(max_candidates=10), "candidates"),
        (Budget(seconds=3, clock=Clock()), "seconds"),
        (Budget(cancelled=lambda: True), "cancelled"),
    ):
        with pytest.raises(BudgetError) as caught, budget:
            search()
        assert caught.value.exceeded == exceeded
        assert caught.value.key == "search"


def test_a_search_is_stopped_on_its_way() -> None:
    asked: list[int] = []

    def stopped() -> bool:
        asked.append(1)
        return len(asked) > 40

    with pytest.raises(BudgetError, match="stopped"), Budget(cancelled=stopped):
        plan(study())
    assert len(asked) == 41


def test_what_the_callback_raises_goes_through() -> None:
    class Ended(BaseException):
        pass

    def ended() -> bool:
        raise Ended

    with pytest.raises(Ended), Budget(cancelled=ended):
        plan(study())


def test_nobody_can_swallow_it() -> None:
    with pytest.raises(BudgetError), Budget(max_candidates=1), contextlib.suppress(SizingError):
        spend(2)


def test_an_inner_budget_counts_against_the_outer_and_each_keeps_its_own() -> None:
    with Budget(max_candidates=100) as outer:
        with Budget(max_candidates=5) as inner:
            spend(5)
        spend(1)
    assert (outer.spent, inner.spent) == (6, 5)
    with pytest.raises(BudgetError, match="more than 3 "), Budget(max_candidates=3), Budget(max_candidates=100):
        spend(4)


def test_workers_answers_are_counted() -> None:
    with ThreadPoolExecutor(2) as pool, pytest.raises(BudgetError), Budget(max_candidates=1000):
        plan(study(), executor=pool)


def test_without_a_budget_nothing_is_counted_and_it_travels() -> None:
    spend(10**12)
    again = pickle.loads(pickle.dumps(BudgetError("seconds", 20)))
    assert str(again) == str(BudgetError("seconds", 20)) and again.exceeded == "seconds"


def test_sizes_by_the_thousand_are_bounded_too() -> None:
    sizes = list(range(1, 3000)) * 20
    wide = {"tensor_parallel": sizes, "data_parallel": sizes, "expert_parallel": sizes, "max_nodes": 64}
    with pytest.raises(BudgetError), Budget(max_candidates=10**5, cancelled=None):
        plan(study(model="deepseek-ai/DeepSeek-V3", constraints=wide, hardware=["h100-sxm"]))


# ---- what a config of many keys costs: counted, not timed ----


class Counted(dict):  # type: ignore[type-arg]
    """An object of a config that counts how many of its entries were gone through."""

    steps = 0

    def __iter__(self):  # type: ignore[no-untyped-def]
        for key in super().__iter__():
            self.steps += 1
            yield key

    def keys(self):  # type: ignore[no-untyped-def]
        return list(iter(self))

    def items(self):  # type: ignore[no-untyped-def]
        return [(key, self[key]) for key in self]

    def values(self):  # type: ignore[no-untyped-def]
        return [self[key] for key in self]


def test_layers_of_their_own_do_not_copy_the_whole_config() -> None:
    from sizing.model.config import read_json
    from sizing.model.sources import _catalog_file, catalog_models

    entry = next(one for one in catalog_models() if one.name == "google/gemma-4-E4B-it")
    config = read_json(_catalog_file(entry.file))
    text = config["text_config"]
    assert isinstance(text, dict)
    layers = int(text["num_hidden_layers"])
    own = {str(layer): {"num_key_value_heads": 2} for layer in range(layers)}
    unknown = {f"unknown_{number}": number for number in range(5000)}
    many = Counted({**text, "per_layer_config": own, **unknown})
    many.pop("global_head_dim", None)
    parse_config({**config, "text_config": many})
    assert many.steps <= 6 * len(many)  # not once a layer
