"""Error tables and the scatter chart."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sizing.base.errors import SizingError
from sizing.evidence.scatter import scatter_html
from sizing.evidence.table import Predictions, as_markdown, as_text, error_table, errors

DATA = Predictions.of(
    measured=[100, 200, 400, 800, np.nan, 100],
    p50=[110, 100, 400, np.nan, 5, 0],
    p10=[90, 90, 100, np.nan, 1, 1],
    p90=[120, 150, 500, np.nan, 9, 9],
)


def test_figures():
    line = errors(DATA)
    assert (line.rows, line.answered) == (5, 3)
    assert line.median == pytest.approx(0.1) and line.mean == pytest.approx(0.2) and line.p90 == pytest.approx(0.42)
    assert line.bias == pytest.approx(0.0) and line.coverage == pytest.approx(2 / 3)
    assert line.share_answered == pytest.approx(0.6)


def test_without_intervals_or_answers():
    assert math.isnan(errors(Predictions.of([1, 2], [1, 2])).coverage)
    nothing = errors(Predictions.of([1, 2], [np.nan, np.nan]))
    assert (nothing.rows, nothing.answered) == (2, 0) and math.isnan(nothing.median)
    assert "–" in as_text([nothing])
    assert math.isnan(errors(Predictions.of([], [])).share_answered)


def test_groups_and_formats():
    table = error_table(DATA, {"model": ["a", "a", "b|<c>", "b|<c>", "a", "a"], "engine": ["x"] * 6})
    assert [line.group for line in table] == ["all", "model=a", "model=b|<c>", "engine=x"]
    assert len({len(line) for line in as_text(table).splitlines()}) == 1
    markdown = as_markdown(table)
    assert "b\\|&lt;c&gt;" in markdown and markdown.splitlines()[1].startswith("|---|---:|")
    assert len(table) == 4 and (table[0].rows, table[0].answered) == (5, 3)


def test_wrong_lengths():
    with pytest.raises(SizingError, match="p50"):
        Predictions.of([1, 2], [1])
    with pytest.raises(SizingError, match="model"):
        error_table(DATA, {"model": ["a"]})
    with pytest.raises(SizingError, match="names"):
        scatter_html(DATA, ["a"])


@given(st.lists(st.tuples(*[st.floats()] * 4), max_size=20))
def test_any_floats(values):
    columns = list(zip(*values, strict=True)) or [(), (), (), ()]
    line = errors(Predictions.of(*columns))
    assert 0 <= line.answered <= line.rows <= len(values)
    as_text([line]), as_markdown([line])


def test_scatter_escapes_names_and_is_offline():
    pytest.importorskip("plotly")
    names = ["<script>alert(1)</script>", "b", "c", "d", "e", "f"]
    page = scatter_html(DATA, names, ["<b>g</b>"] * 6, title="<i>t</i>", unit="ms")
    assert "<script>alert(1)" not in page and "<b>g</b>" not in page
    assert "&lt;script&gt;" in page or "\\u0026lt;script" in page
    assert "https://cdn.plot.ly" not in page.split("Plotly.newPlot")[-1] and 'src="https://cdn' not in page


def test_scatter_groups_beyond_twenty_are_others():
    pytest.importorskip("plotly")
    data = Predictions.of(np.arange(1, 31), np.arange(1, 31))
    assert "others" in scatter_html(data, ["x"] * 30, [f"g{i}" for i in range(30)])
    scatter_html(Predictions.of([np.nan], [1]), ["x"])
