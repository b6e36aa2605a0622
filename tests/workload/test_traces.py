import io
import os
from pathlib import Path

import numpy as np
import pytest

from sizing.base.errors import SizingError
from sizing.workload import BatchArrival, read_csv, read_mooncake, read_trace

AZURE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:15:46.6805900,374,44
2023-11-16 18:15:47.1805900,396,109
2023-11-16 18:15:48.6805900,0,5
2023-11-16 18:15:50.6805900,879,55
"""


def shared() -> Path:
    root = Path(os.environ.get("SIZING_SHARED", Path(__file__).parents[2].parent / "shared"))
    folder = root / "measurements" / "traces"
    if not folder.is_dir():
        pytest.skip("no researched material beside the project")
    return folder


def test_azure(tmp_path):
    file = tmp_path / "conv.csv"
    file.write_text(AZURE)
    trace = read_trace(file)
    assert trace.arrival_s == pytest.approx([0, 0.5, 4])
    assert trace.input_tokens.tolist() == [374, 396, 879] and trace.output_tokens.tolist() == [44, 109, 55]
    assert trace.skipped == 1 and trace.prefix_cache_hit_rate == 0
    assert read_trace(file, "azure").requests_per_s == pytest.approx(3 / 4)


def test_azure_2024_zone_and_disorder():
    rows = "2024-05-10 00:00:01.5+00:00,5,6\n2024-05-10 00:00:00+00:00,3,4\n"
    text = "TIMESTAMP,ContextTokens,GeneratedTokens\n" + rows
    trace = read_csv(io.StringIO(text))
    assert trace.arrival_s == pytest.approx([0, 1.5]) and trace.input_tokens.tolist() == [3, 5]


@pytest.mark.parametrize(
    "header",
    ["arrival,input,output", "Timestamp,Request tokens,Response tokens", "t, prompt_len ,output_len"],
)
def test_plain_csv_variants(header):
    trace = read_csv(io.StringIO(f"{header}\n10.5,100,7\n\n11,200,8\n"))
    assert trace.arrival_s == pytest.approx([0, 0.5]) and trace.output_tokens.tolist() == [7, 8]


def test_cached_column():
    trace = read_csv(io.StringIO("time,input,output,cached\n0,100,1,50\n1,100,1,0\n"))
    assert trace.prefix_cache_hit_rate == 0.25
    with pytest.raises(SizingError, match="column cached"):
        read_csv(io.StringIO("time,input,output,cached\n0,100,1,101\n"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "line 1: has no column for arrival"),
        ("", "line 1"),
        ("t,input,output\n", "has no request"),
        ("t,input,output\n0,5\n", "line 2: has 2 columns"),
        ("t,input,output\n0,5,5\n1,x,5\n", "line 3 column input"),
        ("t,input,output\n0,5,-1\n", "line 2 column output"),
        ("t,input,output\n0,5,1e30\n", "line 2 column output"),
        ("t,input,output\nyesterday,5,5\n", "line 2 column t: 'yesterday' is not a time"),
        ("t,input,output\nnan,5,5\n", "line 2 column t"),
        ("t,input,output\n0,5,5\n0,5,5\n0,5,5\n", "more than 2 rows"),
    ],
)
def test_csv_errors_name_line_and_column(text, message):
    with pytest.raises(SizingError, match=message):
        read_csv(io.StringIO(text), max_rows=2)


def mooncake(*rows):
    return io.StringIO("\n".join(rows))


FIRST = '{"timestamp": 1000, "input_length": 1500, "output_length": 5, "hash_ids": [1, 2, 3]}'
SECOND = '{"timestamp": 4000, "input_length": 1400, "output_length": 9, "hash_ids": [1, 2, 9]}'
THIRD = '{"timestamp": 4000, "input_length": 1100, "output_length": 9, "hash_ids": [1, 2, 3]}'


def test_mooncake_prefix_hits():
    trace = read_mooncake(mooncake(FIRST, SECOND, "", THIRD))
    assert trace.arrival_s == pytest.approx([0, 3, 3])
    assert trace.cached_tokens.tolist() == [0, 1024, 1100]
    # Four blocks would be needed to keep all; with three the least recently used (3) is gone.
    assert read_mooncake(mooncake(FIRST, SECOND, THIRD), cache_blocks=3).cached_tokens.tolist() == [
        0,
        1024,
        1024,
    ]
    assert read_mooncake(mooncake(FIRST, SECOND, THIRD), cache_blocks=0).cached_tokens.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: is not JSON"),
        ("[1]", "line 2: is not a JSON object"),
        ('{"timestamp": 1}', "line 2 column input_length: is missing"),
        ('{"timestamp": 1, "input_length": "many", "output_length": 1}', "line 2 column input_length"),
        (
            '{"timestamp": 1, "input_length": 1, "output_length": 1, "hash_ids": ["a"]}',
            "line 2 column hash_ids",
        ),
        ('{"timestamp": null, "input_length": 1, "output_length": 1}', "line 2 column timestamp"),
    ],
)
def test_mooncake_errors(line, message):
    with pytest.raises(SizingError, match=message):
        read_mooncake(mooncake(FIRST, line))


def test_long_lines_and_limits(monkeypatch):
    monkeypatch.setattr("sizing.base.files.MAX_LINE", 50)
    with pytest.raises(SizingError, match="line 1: is longer than 50"):
        read_mooncake(mooncake(FIRST))
    with pytest.raises(SizingError, match="at least 0"):
        read_mooncake(mooncake(FIRST), cache_blocks=-1)
    with pytest.raises(SizingError, match="can't be read"):
        read_trace("absent.csv")


def test_fit_and_replay():
    trace = read_mooncake(mooncake(FIRST, SECOND, THIRD))
    workload = trace.fit()
    assert workload.arrival.requests_per_s == pytest.approx(1)
    assert workload.prefix_cache_hit_rate == pytest.approx(2124 / 4000)
    assert workload.joint.pairs == ((1500, 5), (1400, 9), (1100, 9))
    assert trace.requests(speed=3).arrival_s == pytest.approx([0, 1, 1])
    at_once = read_csv(io.StringIO("t,input,output\n3,5,5\n3,6,6\n")).fit()
    assert isinstance(at_once.arrival, BatchArrival)
    with pytest.raises(SizingError):
        trace.requests(speed=0)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "rows", "rate", "mean_in", "mean_out", "cv", "hit"),
    [
        ("az23_code.csv", 8819, 2.57, 2048, 28, 13.15, 0),
        ("az23_conv.csv", 19_366, 5.53, 1155, 211, 1.09, 0),
        ("mooncake_conversation.jsonl", 12_031, 3.40, 12_035, 343, 3.03, 0.37),
        ("mooncake_synthetic.jsonl", 3993, 3.91, 15_325, 149, 1.01, 0.65),
    ],
)
def test_real_traces(name, rows, rate, mean_in, mean_out, cv, hit):
    trace = read_trace(shared() / name)
    assert len(trace) == rows
    assert trace.requests_per_s == pytest.approx(rate, rel=0.01)
    assert trace.input_tokens.mean() == pytest.approx(mean_in, rel=0.001)
    assert trace.output_tokens.mean() == pytest.approx(mean_out, rel=0.02)
    assert trace.interval_cv == pytest.approx(cv, rel=0.01)
    assert trace.prefix_cache_hit_rate == pytest.approx(hit, abs=0.01)
    again = trace.fit().generate(20_000, seed=1)
    assert again.input_tokens.mean() == pytest.approx(mean_in, rel=0.05)
    assert np.all(again.cached_tokens < again.input_tokens)
