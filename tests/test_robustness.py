"""What fuzzing and trying by hand found, one test each: all of it is mended, and must stay so (docs/robustness.md)."""

from __future__ import annotations

import json
import os
import resource
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from sizing.base.errors import SizingError, one_line, printable
from sizing.base.files import read_text, write_text
from sizing.base.yaml import parse
from sizing.cli import main
from sizing.coefficients.calibration import load_calibration
from sizing.evidence.benchmark_files import read_benchmark
from sizing.hardware import check_file, load_catalog
from sizing.hardware.loader import _catalog
from sizing.model.checkpoints.safetensors import read_header
from sizing.model.config import parse_config
from sizing.model.sources import load_model
from sizing.planning.planner import plan
from sizing.study import load_study, parse_study
from sizing.workload import read_lengths_csv, read_trace

ROOT = Path(__file__).resolve().parents[1]
CONFIG = (ROOT / "sizing/model/catalog/Qwen__Qwen3-8B.json").read_bytes()
STUDY = "model: qwen3-8b\nworkload: chat\nhardware: [l40s]\nconstraints: {max_plans: 1}\n"
BENCH = ROOT / "tests/data/bench"


def process(
    *argv: str, stdin: bytes = b"", shell: str | None = None, limit_gib: float = 0, **env: str
) -> tuple[int, bytes, bytes]:
    """The program as a process: exit code, stdout, stderr. ``shell``: what follows the command on a shell's line."""

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (int(limit_gib * 2**30),) * 2)

    command = [sys.executable, "-m", "sizing", *argv]
    if shell is not None:
        command = ["bash", "-c", f'"$@" {shell}', "bash", *command]
    done = subprocess.run(
        command, input=stdin, capture_output=True, timeout=900, check=False, preexec_fn=limited if limit_gib else None,
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def refused(code: int, out: bytes, err: bytes) -> str:
    """The one line of a refusal."""
    assert code == 2 and out == b"", (code, out[:200], err[-500:])
    text = err.decode()
    assert text.startswith("sizing: ") and text.count("\n") == 1
    return text


# ---- what is written


def test_a_link_is_followed_and_stays_a_link(tmp_path: Path) -> None:
    aim, link = tmp_path / "aim.txt", tmp_path / "link.txt"
    aim.write_text("old")
    link.symlink_to("aim.txt")
    write_text(link, "new")
    assert link.is_symlink() and aim.read_text() == "new"


def test_a_pipe_or_device_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()))
    reader.start()
    write_text(pipe, "through")
    reader.join(10)
    assert got == ["through"] and stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_file_that_may_not_be_written_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.txt"
    path.write_text("old")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(SizingError, match="Permission denied"):
        write_text(path, "new")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_writing_keeps_the_mode_and_touches_nothing_beside(tmp_path: Path) -> None:
    path, beside = tmp_path / "a.txt", tmp_path / "a.txt.partial"
    path.write_text("old")
    path.chmod(0o640)
    beside.write_text("somebody's")
    write_text(path, "new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640 and beside.read_text() == "somebody's"
    assert sorted(tmp_path.iterdir()) == [path, beside]


@pytest.mark.parametrize("name", ["folder", "loop", "no/such/place", "x" * 300, "a\0b"])
def test_where_nothing_can_be_written(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(SizingError, match="can't be written"):
        write_text(tmp_path / name, "x")
    assert {path.name for path in tmp_path.iterdir()} == {"folder", "loop"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize(
    "argv",
    [
        ("plan", "qwen3-8b", "--workload", "chat", "--write-study"),
        ("claim", "--reference", "--out"),
        ("calibrate", str(BENCH / "vllm_new.json"), "--on", "h100-sxm", "--model", "qwen3-8b", "-o"),
    ],
)
def test_a_full_disk_is_one_line_that_names_the_file(argv: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([*argv, "/dev/full"])
    assert stop.value.code == 2
    assert capsys.readouterr().err == "sizing: /dev/full: can't be written: No space left on device\n"
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)


# ---- what is read


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no /dev/zero here")
@pytest.mark.parametrize(
    "argv",
    [
        ("plan", "/dev/zero"),
        ("params", "/dev/zero"),
        ("calibrate", "/dev/zero", "--on", "h100-sxm"),
        ("estimate", "qwen3-8b", "--on", "h100-sxm", "--input", "9", "--output", "9", "--calibration", "/dev/zero"),
    ],
)
def test_a_file_without_end_is_cut_off(argv: tuple[str, ...]) -> None:
    assert "/dev/zero: larger than" in refused(*process(*argv, limit_gib=4))


def test_a_table_whose_line_has_no_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sizing.base.files.MAX_LINE", 100)
    path = tmp_path / "x.csv"
    path.write_text("input,output\n" + "1" * 500)
    with pytest.raises(SizingError, match="longer than 100"):
        read_lengths_csv(path)


def test_standard_input_is_a_file() -> None:
    code, out, err = process("plan", "/dev/stdin", "--json", stdin=STUDY.encode())
    assert (code, err) == (0, b"") and json.loads(out)["plans"]
    code, out, err = process("params", "/dev/stdin", "--json", stdin=CONFIG)
    assert (code, err) == (0, b"") and json.loads(out)["total"] == load_model("Qwen/Qwen3-8B").total


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    config, study, calibration = (tmp_path / name for name in ("c.json", "s.yaml", "k.yaml"))
    config.write_bytes(b"\xef\xbb\xbf" + CONFIG)
    study.write_bytes(b"\xef\xbb\xbf" + STUDY.encode())
    shift = "{factor: 1.1, sigma: 0.05, runs: 3}"
    calibration.write_bytes(
        f"\ufeffversion: 1\nengine: vllm\naccelerator: x\ndecode: {shift}\nprefill: {shift}\n".encode()
    )
    assert load_model(config).total == load_model("Qwen/Qwen3-8B").total
    assert load_study(study).model.name == "qwen3-8b"
    assert load_calibration(calibration).decode.runs == 3


@pytest.mark.parametrize("read", [read_trace, read_lengths_csv, read_benchmark, read_header, load_study])
def test_a_null_byte_in_a_name(read: Callable[[Any], object]) -> None:
    with pytest.raises(SizingError):
        read(Path("a\0b"))


def test_a_null_byte_in_the_name_of_a_shard(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(CONFIG)
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"a": "x\\u0000y"}}')
    assert any("cannot be read" in note for note in load_model(tmp_path).notes)


def test_json_of_very_many_values_is_refused_before_it_is_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.json"
    path.write_text("[" * 40 + "]" * 40)
    monkeypatch.setattr("sizing.evidence.measurement.MAX_VALUES", 30)
    with pytest.raises(SizingError, match="more than 30 values"):
        read_benchmark(path)
    header = b'{"a": {"dtype": "U8", "shape": [0,0,0,0], "data_offsets": [0,0]}}'
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    assert len(read_header(path)) == 1
    monkeypatch.setattr("sizing.model.checkpoints.safetensors.MAX_VALUES", 5)
    with pytest.raises(SizingError, match="more than 5 values"):
        read_header(path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\na: 2\n", "appears twice"),
        ("a: 0x" + "f" * 9000, "beyond all measure"),
        ("a: " + "9" * 9000, "not valid YAML"),
        ("{" + "0xfffffffffffffffffff: 1}", "beyond all measure"),
        ("? [a]\n: 1\n", "not valid YAML"),
        ("a: !!timestamp 0", "tags"),
        ("a: !!bool maybe", "tags"),
        ("a: !!int ''", "tags"),
        ("a: !!binary x", "tags"),
    ],
)
def test_yaml_that_people_did_not_mean(text: str, says: str) -> None:
    with pytest.raises(SizingError, match=says):
        parse(text, "study.yaml")


def test_a_pattern_of_no_letters() -> None:
    config = json.loads((ROOT / "sizing/model/catalog/google__gemma-3-27b-it.json").read_text())["text_config"]
    config.pop("layer_types", None)
    with pytest.raises(SizingError, match="sliding_window_pattern"):
        parse_config({**config, "sliding_window_pattern": ""})


@pytest.mark.parametrize("value", [float("inf"), float("nan"), date(2026, 1, 1)])
def test_an_inline_config_is_json(value: object) -> None:
    with pytest.raises(SizingError, match="as in JSON"):
        parse_study({"model": {"name": "m", "config": {"a": [value]}}, "workload": "chat", "hardware": ["l40s"]})


@pytest.mark.parametrize("files", ["5", "{a: 1}", "[5]", "x"])
def test_files_of_a_calibration(files: str, tmp_path: Path) -> None:
    path = tmp_path / "k.yaml"
    shift = "{factor: 1.1, sigma: 0.05, runs: 3}"
    path.write_text(f"version: 1\nengine: vllm\naccelerator: x\ndecode: {shift}\nprefill: {shift}\nfiles: {files}\n")
    with pytest.raises(SizingError, match="files"):
        load_calibration(path)


@pytest.mark.parametrize("sources", ["[a]", "x", "5"])
def test_sources_of_prices(sources: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"price_sources: {sources}\nrental_quotes: []\n")
    assert ["price_sources" in str(item) for item in check_file(path)] == [True]


def test_a_figure_beyond_all_measure(tmp_path: Path) -> None:
    data = json.loads((BENCH / "inferencex.json").read_text())
    row = data[0] if isinstance(data, list) else data
    (row.get("metrics") or row)["tput_per_gpu"] = 1.7e308
    path = tmp_path / "x.json"
    path.write_text(json.dumps(row))
    with pytest.raises(SizingError, match="tput_per_gpu: is beyond all measure"):
        read_benchmark(path)


def test_a_file_of_very_many_wrong_entries(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    for text in ("".join(f"- {{id: a{i}}}\n" for i in range(20_000)), "- {}\n" * 20_000):
        path.write_text("accelerators:\n" + text)
        assert len(check_file(path)) <= 201
    path.write_text("".join(f"k{i}: 1\n" for i in range(20_000)))
    assert "first 200" in str(check_file(path)[-1])


def test_json_lines_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sizing.evidence.measurement.MAX_LINES", 10)
    path = tmp_path / "x.jsonl"
    path.write_text('{"a": 1}\n' * 11)
    with pytest.raises(SizingError, match="more than 10 lines"):
        read_benchmark(path)


def test_catalogs_of_uploads_are_not_kept_for_ever(tmp_path: Path) -> None:
    for number in range(40):
        path = tmp_path / f"m{number}.yaml"
        path.write_text(f"accelerators: [{{id: h100-sxm, tdp_w: {500 + number}}}]")
        assert load_catalog(path).accelerators["h100-sxm"].tdp_w == 500 + number
    assert _catalog.cache_info().currsize <= 16


# ---- what is searched


def test_what_is_offered_twice_is_searched_once() -> None:
    one = parse_study({"model": "qwen3-8b", "workload": "chat", "hardware": ["l40s"]})
    many = parse_study({"model": "qwen3-8b", "workload": "chat", "hardware": ["l40s"] * 200})
    assert plan(many).evaluated == plan(one).evaluated


def test_a_search_without_end_is_refused() -> None:
    offers = [{"accelerator": "l40s", "usd_per_hour": 1 + i / 100} for i in range(200)]
    weights = [f"bits{4 + i / 100:.2f}" for i in range(30)]
    with pytest.raises(SizingError, match="combinations"):
        plan(
            parse_study({"model": {"name": "deepseek-r1", "weights": weights}, "workload": "chat", "hardware": offers})
        )


# ---- what is printed


def test_an_error_is_one_printable_line() -> None:
    error = SizingError("two\nlines \x1b[31m\u202e", key="k" * 5000, hint="h\u2028" * 900)
    text = str(error)
    assert text.isprintable() and len(text) < 1600
    assert "two lines \\x1b[31m\\u202e" in text
    assert printable("名前 é\u00a0x") == "名前 é\u00a0x"  # what is shown stays
    assert one_line("a" * 100 + "z", 20).endswith("z") and len(one_line("a" * 100, 20)) == 20


def test_a_terminal_obeys_nothing_of_a_models_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "\x1b]0;owned\x07\x1b[31m"
    folder.mkdir()
    (folder / "config.json").write_bytes(CONFIG)
    for argv in (("params", str(folder)), ("kv", str(folder)), ("memory", str(folder), "--on", "h100-sxm")):
        with pytest.raises(SystemExit) as stop:
            main(list(argv))
        out, err = capsys.readouterr()
        assert not stop.value.code and "\x1b" not in out + err and "\\x1b" in out


def test_a_locale_without_the_letters(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY + "title: 名前 é\n", encoding="utf-8")
    narrow = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    code, out, err = process("plan", str(path), **narrow)
    assert (code, err) == (0, b"") and b"\\u2013" in out
    code, out, err = process("plan", str(path), "--json", **narrow)
    assert (code, err) == (0, b"") and json.loads(out)["study"]["title"] == "名前 é"
    assert "unknown model" in refused(*process("params", "名前", **narrow))


@pytest.mark.parametrize(
    "argv", [("models",), ("plan", "qwen3-8b", "--workload", "chat"), ("--help",), ("hardware", "--json")]
)
def test_a_reader_that_leaves_is_no_error(argv: tuple[str, ...]) -> None:
    assert process(*argv, shell="| head -1")[2] == b""


def test_closed_streams() -> None:
    assert process("models", shell=">&-") == (0, b"", b"")
    assert process("params", "nothing/here.json", shell="2>&-") == (2, b"", b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("argv", [("models",), ("models", "--json"), ("hardware", "show", "h100-sxm")])
def test_a_full_disk_behind_stdout(argv: tuple[str, ...]) -> None:
    assert "No space left" in refused(*process(*argv, shell="> /dev/full"))


def test_ctrl_c_is_quiet(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    import builtins

    from sizing.__main__ import run

    monkeypatch.setattr("sizing.model.sources.load_model", interrupted)
    with pytest.raises(SystemExit) as stop:
        main(["params", "qwen3-8b"])
    assert (stop.value.code, capsys.readouterr().err) == (130, "sizing: stopped\n")
    real = builtins.__import__
    monkeypatch.setattr(
        builtins, "__import__", lambda name, *rest: interrupted() if name == "sizing.cli" else real(name, *rest)
    )
    with pytest.raises(SystemExit) as stop:
        run()  # while the program loads
    monkeypatch.undo()
    assert (stop.value.code, capsys.readouterr().err) == (130, "sizing: stopped\n")


def test_ctrl_c_in_a_process(tmp_path: Path) -> None:
    pipe = tmp_path / "study.yaml"
    os.mkfifo(pipe)  # nobody writes: it waits
    running = subprocess.Popen(
        [sys.executable, "-m", "sizing", "plan", str(pipe)],
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # background jobs are born deaf to it
    )
    writer = os.open(pipe, os.O_WRONLY)  # comes back once the process has opened the pipe: it reads now
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=900)
    os.close(writer)
    assert (running.returncode, err) == (130, b"sizing: stopped\n")


@pytest.mark.parametrize("tpot", ["-1", "0", "nan", "inf"])
def test_a_limit_that_is_none(tpot: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["compare", "qwen3-8b", "--tpot", tpot, "--json"])
    out, err = capsys.readouterr()
    assert (stop.value.code, out) == (2, "") and "--tpot" in err


def test_reference_claims_have_no_json(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["claim", "--reference", "--json"])
    out, err = capsys.readouterr()
    assert (stop.value.code, out) == (2, "") and "--json" in err


def test_text_of_another_encoding(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(b"caf\xe9")
    with pytest.raises(SizingError, match="UTF-8"):
        read_text(path, 100)


def test_a_trace_of_a_nanosecond_is_a_batch(tmp_path: Path) -> None:
    file = tmp_path / "trace.csv"
    file.write_text("arrival,input,output\n0,100,20\n1e-09,7,1\n", encoding="utf-8")
    assert read_trace(file).fit().arrival.kind == "batch"


@pytest.mark.parametrize(
    "argv",
    [
        ("memory", "Qwen/Qwen3-32B", "--on", "h100-sxm", "--context", "1" * 400),
        ("claim", "deepseek-r2", "--usd-per-million", "0.5", "--kind", "output", "--context", "1" * 400),
        ("claim", "$0.07 per million tokens, 1.2T/78B, Ascend 910B", "--usd-per-million", "5e-324"),
    ],
)
def test_numbers_beyond_floats(argv: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([*argv, "--json"])
    out, err = capsys.readouterr()
    assert (stop.value.code, out) == (2, "") and argv[-2] in err
