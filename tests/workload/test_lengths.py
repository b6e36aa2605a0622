import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sizing.base.errors import SizingError
from sizing.base.normal import normal_cdf, normal_quantile
from sizing.workload import JointLengths, LengthDistribution, read_lengths_csv

SHAPES = [
    LengthDistribution.fixed(100),
    LengthDistribution.lognormal(mean=1155, p95=4083),
    LengthDistribution.lognormal(median=500, sigma=1.0, maximum=2000),
    LengthDistribution.uniform(10, 20),
    LengthDistribution.empirical([5, 5, 9, 100]),
]


def test_normal_quantile_inverts_the_cdf():
    p = np.array([1e-9, 1e-3, 0.02, 0.3, 0.5, 0.9, 0.99, 1 - 1e-6])
    assert normal_cdf(normal_quantile(p)) == pytest.approx(p, rel=1e-6)
    assert float(normal_quantile(0.95)) == pytest.approx(1.6448536269514722, abs=1e-8)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: s.kind)
def test_samples_agree_with_quantiles(shape):
    grid = shape.quantiles(2000)
    sample = shape.sample(50_000, np.random.default_rng(1))
    assert np.all(np.diff(grid) >= 0)
    assert sample.mean() == pytest.approx(shape.mean_tokens, rel=0.03)
    assert sample.min() >= shape.minimum and sample.max() <= shape.maximum
    assert np.array_equal(sample, shape.sample(50_000, np.random.default_rng(1)))


def test_lognormal_keeps_what_was_asked():
    shape = LengthDistribution.lognormal(mean=1155, p95=4083)
    assert shape.mean_tokens == pytest.approx(1155, rel=0.01)
    assert shape.percentile(95) == pytest.approx(4083, rel=1e-3)
    shape = LengthDistribution.lognormal(median=500, mean=800)
    assert shape.percentile(50) == pytest.approx(500, rel=1e-2)
    assert shape.mean_tokens == pytest.approx(800, rel=0.01)


def test_uniform_and_histogram_are_exact():
    assert set(LengthDistribution.uniform(3, 5).quantiles(300).tolist()) == {3, 4, 5}
    assert LengthDistribution.uniform(3, 5).mean_tokens == pytest.approx(4, rel=1e-3)
    shape = LengthDistribution.empirical([10, 20], [3, 1])
    assert shape.mean_tokens == pytest.approx(12.5, rel=1e-3)


@given(st.floats(10, 10_000), st.floats(0, 2), st.integers(1, 50), st.integers(20_000, 10**6))
def test_truncation_holds(median, sigma, low, high):
    try:
        shape = LengthDistribution.lognormal(median=median, sigma=sigma).truncated(low, high)
    except SizingError:  # nearly all of it lies outside
        assert sigma < 0.5
        return
    grid = shape.quantiles(100)
    assert grid.min() >= low and grid.max() <= high


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "fixed"},
        {"kind": "fixed", "value": 0},
        {"kind": "fixed", "value": 3, "mean": 3},
        {"kind": "lognormal", "mean": 10},
        {"kind": "lognormal", "p95": 10, "sigma": 1},
        {"kind": "lognormal", "mean": 10, "p95": 1000},
        {"kind": "lognormal", "median": 10, "p95": 5},
        {"kind": "lognormal", "median": 10, "mean": 5},
        {"kind": "lognormal", "median": 10, "sigma": 0.1, "minimum": 10_000},
        {"kind": "uniform", "low": 5, "high": 4},
        {"kind": "empirical", "values": []},
        {"kind": "empirical", "values": [0]},
        {"kind": "empirical", "values": [1], "weights": [0]},
        {"kind": "empirical", "values": [1], "maximum": 9, "minimum": 5},
        {"kind": "fixed", "value": 5, "minimum": 3, "maximum": 2},
        {"kind": "fixed", "value": 5, "colour": "red"},
    ],
)
def test_nonsense_is_refused(fields):
    with pytest.raises(SizingError):
        LengthDistribution(**fields)


def test_truncating_everything_away_is_an_error():
    with pytest.raises(SizingError, match="truncate"):
        LengthDistribution.empirical([5]).truncated(maximum=4)
    with pytest.raises(SizingError):
        LengthDistribution.empirical([])
    with pytest.raises(SizingError):
        JointLengths(pairs=((0, 1),))


def test_read_lengths_csv(tmp_path):
    file = tmp_path / "lengths.csv"
    file.write_text("Input_tokens,Output_tokens,x\n10,2,a\n30,4,b\n")
    assert read_lengths_csv(file).pairs == ((10, 2), (30, 4))
    file.write_text("input,output\n10,2\n30,nan\n")
    with pytest.raises(SizingError, match=r"lengths\.csv line 3 column output"):
        read_lengths_csv(file)
    file.write_text("input,out\n10,2\n")
    with pytest.raises(SizingError, match="no column 'output'"):
        read_lengths_csv(file)
    file.write_text("input,output\n")
    with pytest.raises(SizingError, match="no rows"):
        read_lengths_csv(file)
    file.write_text("input,output\n1,1\n1,1\n")
    with pytest.raises(SizingError, match="more than 1 rows"):
        read_lengths_csv(file, max_rows=1)
    with pytest.raises(SizingError, match="can't be read"):
        read_lengths_csv(tmp_path / "absent.csv")
