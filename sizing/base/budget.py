"""How much an answer may take: candidates, seconds, and a way to stop it. Whoever answers strangers sets one.

``with Budget(max_candidates=..., seconds=..., cancelled=...): plan(study)``. Whatever searches calls ``spend`` as it
goes, so a budget holds for plans, comparisons, claims and capacities alike, and no search has to be told of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Literal, Self

from sizing.base.errors import SizingError

Exceeded = Literal["candidates", "seconds", "cancelled"]
SMALLER = "offer fewer accelerators, engines or formats, lower constraints.max_nodes, or fix the parallel sizes"


class BudgetError(SizingError):
    """A search was given up. ``exceeded`` names the bound, ``most`` is its value (0 for a search that was stopped)."""

    def __init__(self, exceeded: Exceeded, most: float = 0.0) -> None:
        self.exceeded: Exceeded = exceeded
        self.most = most
        said = {
            "candidates": f"takes more than {most:,.0f} candidates (a placement at a load), the most for one answer here",
            "seconds": f"takes longer than {most:g} s, the most for one answer here",
            "cancelled": "was stopped before it had an answer",
        }[exceeded]
        super().__init__(said, key="search", hint=None if exceeded == "cancelled" else SMALLER)

    def __reduce__(self) -> tuple[type[BudgetError], tuple[Exceeded, float]]:
        return type(self), (self.exceeded, self.most)


class Budget:
    """Bounds of the searches within its ``with`` block; None: no bound. It counts on when it is entered again.

    max_candidates: placements times the loads at which they are evaluated, over all searches. seconds: from the first
    entry on. cancelled: asked often, from the searching thread; true gives the search up (what it raises goes through).
    Raises BudgetError where a bound is passed, at the latest when the block ends: nobody can swallow it on the way.
    Not seen by other threads and processes (``plan``'s executor): there the answers are counted as they come.
    """

    def __init__(
        self,
        *,
        max_candidates: int | None = None,
        seconds: float | None = None,
        cancelled: Callable[[], bool] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.max_candidates = max_candidates
        self.seconds = seconds
        self.cancelled = cancelled
        self.spent = 0
        self.failure: BudgetError | None = None
        self._clock = clock
        self._until: float | None = None
        self._outer: Budget | None = None
        self._token: Token[Budget | None] | None = None

    def __enter__(self) -> Self:
        if self._token is not None:
            raise RuntimeError("this budget is in use already")
        self._outer = _active.get()
        self._token = _active.set(self)
        if self.seconds is not None and self._until is None:
            self._until = self._clock() + self.seconds
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        assert self._token is not None
        _active.reset(self._token)
        self._token = self._outer = None
        if self.failure is not None and (kind is None or issubclass(kind, SizingError)):
            raise self.failure

    def spend(self, candidates: int = 0) -> None:
        """Count candidates that are about to be evaluated. Raises BudgetError where a bound is passed."""
        if self._outer is not None:
            self._outer.spend(candidates)
        self.spent += candidates
        if self.failure is None:
            self.failure = self._passed()
        if self.failure is not None:
            raise self.failure

    def _passed(self) -> BudgetError | None:
        if self.max_candidates is not None and self.spent > self.max_candidates:
            return BudgetError("candidates", self.max_candidates)
        if self.cancelled is not None and self.cancelled():
            return BudgetError("cancelled")
        if self._until is not None and self.seconds is not None and self._clock() > self._until:
            return BudgetError("seconds", self.seconds)
        return None


_active: ContextVar[Budget | None] = ContextVar("budget", default=None)


def spend(candidates: int = 0) -> None:
    """Count candidates against the budget in force, if any, and give up where it is passed (see ``Budget``)."""
    budget = _active.get()
    if budget is not None:
        budget.spend(candidates)


__all__ = ["Budget", "BudgetError", "Exceeded", "spend"]
