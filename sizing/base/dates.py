"""Which day it is: one answer for the ages of prices, for reports and for launch files, and a way to freeze it."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from sizing.base.errors import SizingError

_FROZEN: ContextVar[dt.date | None] = ContextVar("sizing_today", default=None)


def today() -> dt.date:
    """The day set by ``as_of``, else that of ``SOURCE_DATE_EPOCH`` (seconds; for output that must be the same to the
    byte whenever it is made), else today's in UTC."""
    frozen = _FROZEN.get()
    if frozen is not None:
        return frozen
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    now = dt.datetime.fromtimestamp(int(epoch), tz=dt.UTC) if epoch.isdigit() else dt.datetime.now(tz=dt.UTC)
    return now.date()


@contextmanager
def as_of(day: dt.date | None) -> Iterator[None]:
    """Inside, ``today()`` is this day; None changes nothing."""
    token = _FROZEN.set(day if day is not None else _FROZEN.get())
    try:
        yield
    finally:
        _FROZEN.reset(token)


def parse_day(day: dt.date | str | None) -> dt.date:
    """A day, an ISO text of one, or None for today; raises SizingError for a text that is no ISO date."""
    if day is None:
        return today()
    if isinstance(day, dt.date):
        return day
    try:
        return dt.date.fromisoformat(day)
    except ValueError:
        raise SizingError(f"{day[:40]!r} is not a date", key="date", hint="such as 2026-11-24") from None
