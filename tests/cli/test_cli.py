"""The command line: the JSON contract key by key, and bad input: one line on stderr, exit code 2, nothing on stdout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import sizing
from sizing.cli import main

ON = ("--on", "h100-sxm")
LENGTHS = ("--input", "1000", "--output", "200")
ESTIMATE = ("estimate", "Qwen/Qwen3-32B", *ON, "--tp", "2", *LENGTHS)
PLAN = ("plan", "Qwen/Qwen3-8B", *LENGTHS, "--rate", "1", *ON)
INTERVAL = {"p10", "p50", "p90"}


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs the command line in process: (exit code, stdout, stderr)."""

    def call(*argv: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main(list(argv))
        out, err = capsys.readouterr()
        return int(stop.value.code or 0), out, err

    return call


@pytest.fixture
def document(run: Any) -> Any:
    def call(*argv: str) -> dict[str, Any]:
        code, out, err = run(*argv, "--json")
        assert (code, err) == (0, ""), err
        found = json.loads(out)
        assert isinstance(found, dict)
        return found

    return call


def intervals(found: dict[str, Any], *names: str) -> None:
    for name in names:
        assert set(found[name]) == INTERVAL
        assert 0 < found[name]["p10"] <= found[name]["p50"] <= found[name]["p90"]


# ---- the contract


def test_models(document: Any) -> None:
    found = document("models", "qwen3-235b")["models"]
    assert "Qwen/Qwen3-235B-A22B" in [row["id"] for row in found]
    assert set(found[0]) >= {"id", "family", "origin", "hypothetical", "aliases", "source"}
    rumoured = [row for row in document("models")["models"] if row["hypothetical"]]
    assert any("R2" in row["id"] for row in rumoured)


def test_hardware(document: Any) -> None:
    found = {row["id"]: row for row in document("hardware")["accelerators"]}
    assert {"h100-sxm", "a100-80gb-sxm", "h200-sxm", "b200-sxm", "ascend-910b2"} <= set(found)
    assert found["h100-sxm"]["dense_peak_tflops"]["bf16"] == pytest.approx(989, abs=1)
    assert found["h100-sxm"]["sources"]


@pytest.mark.parametrize("name", ["h100_sxm", "H100-SXM-80GB", "h100-sxm"])
def test_spellings_of_an_accelerator(document: Any, name: str) -> None:
    assert document("hardware", "show", name)["id"] == "h100-sxm"


def test_an_ambiguous_name_says_what_it_took(document: Any) -> None:
    found = document("hardware", "show", "ascend-910b")
    assert found["id"] == "ascend-910b2"
    assert any("910B2" in text for text in found["assumptions"])


def test_hardware_check(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("accelerators:\n  - {id: h100-sxm, tdp_w: many, memory: {nominal_gb: -1}, tpd_w: 5}\n")
    code, out, _ = run("hardware", "check", str(path))
    assert code == 2
    lines = out.splitlines()
    assert lines[0] == "error: mine.yaml: h100-sxm: tpd_w: unknown key 'tpd_w' (did you mean tdp_w?)"
    assert "memory.nominal_gb" in lines[1] and "tdp_w: Input should be a valid number" in lines[2]
    assert lines[-1] == "mine.yaml: 3 errors, 0 warnings"


def test_params(document: Any) -> None:
    found = document("params", "Qwen/Qwen3-235B-A22B")
    counts = ("total", "active", "active_without_input_embedding", "active_without_embeddings", "mtp")
    assert all(type(found[name]) is int for name in counts)
    # as the modelling code counts them
    assert found["total"] == 235_093_634_560
    assert sum(found["components"].values()) == found["total"]


def test_kv(document: Any) -> None:
    found = document("kv", "Qwen/Qwen3-32B", "--tokens", "131072", "--kv-dtype", "bf16")
    keys = {"bytes", "bytes_per_token_full_attention", "bytes_per_token_sliding_window", "sliding_window"}
    assert keys | {"state_bytes_per_sequence", "layers"} <= set(found)
    # 64 layers x (K and V) x 8 KV heads x 128 x 2 bytes
    assert found["bytes_per_token_full_attention"] == 64 * 2 * 8 * 128 * 2
    assert found["bytes"] == 131072 * 64 * 2 * 8 * 128 * 2
    assert document("kv", "Qwen/Qwen3-32B", "--tokens", "131072", "--kv-dtype", "fp8")["bytes"] == found["bytes"] / 2


def test_memory(document: Any) -> None:
    found = document("memory", "Qwen/Qwen3-32B", *ON, "--tp", "2", "--engine", "vllm", "--weights", "bf16",
                     "--kv-dtype", "bf16", "--context", "8192", "--max-num-seqs", "64",
                     "--max-num-batched-tokens", "4096", "--memory-utilization", "0.9")  # fmt: skip
    terms = ("usable_gib", "weights_gib", "activation_gib", "runtime_gib", "graphs_gib", "kv_pool_gib")
    per = found["per_accelerator"]
    assert set(terms) == set(per)
    assert all(per[name] > 0 for name in terms)
    # 32,762,123,264 parameters of 2 bytes over 2 accelerators: 30.5 GiB; what is replicated adds little
    assert per["weights_gib"] == pytest.approx(32_762_123_264 / 2**30, rel=0.01)
    assert sum(per[name] for name in terms[1:]) <= per["usable_gib"]
    assert found["fits"] is True
    assert found["max_concurrency"] == pytest.approx(found["kv_pool_tokens"] / 8192, rel=0.01)
    assert {"name", "value", "unit", "formula", "inputs"} == set(found["ledger"][0])
    assert isinstance(found["assumptions"], list)


def test_memory_that_does_not_fit_is_an_answer(document: Any) -> None:
    assert document("memory", "deepseek-ai/DeepSeek-V3", *ON, "--tp", "8", "--context", "4096")["fits"] is False


@pytest.mark.parametrize("load", [("--concurrency", "8"), ("--rate", "0.5"), ("--max",), ()])
def test_estimate(document: Any, load: tuple[str, ...]) -> None:
    found = document(*ESTIMATE, *load)
    intervals(found["throughput"], "output_tokens_per_s", "total_tokens_per_s", "requests_per_s")
    intervals(found["latency"], "ttft_s", "tpot_s")
    intervals(found["cost"], "usd_per_million_input_tokens", "usd_per_million_output_tokens")
    assert found["bottleneck"]
    assert {"name", "seconds", "flops", "weight_bytes", "cache_bytes", "message_bytes"} <= set(found["step"][0])
    assert {"per_accelerator", "fits", "ledger"} <= set(found["memory"])
    assert found["assumptions"]
    rate = found["throughput"]["requests_per_s"]["p50"]
    assert found["throughput"]["output_tokens_per_s"]["p50"] == pytest.approx(rate * 200)
    assert found["throughput"]["total_tokens_per_s"]["p50"] == pytest.approx(rate * 1200)
    if load[:1] == ("--rate",):
        assert rate == pytest.approx(0.5, rel=0.02)


def test_estimate_takes_a_price_by_any_spelling(document: Any) -> None:
    one = document(*ESTIMATE, "--price", "H100_SXM=2.5")
    assert one["usd_per_hour"] == 5.0  # two accelerators
    assert one["cost"] == document(*ESTIMATE, "--price", "2.5")["cost"]


def test_plan(document: Any) -> None:
    found = document("plan", "Qwen/Qwen3-32B", *LENGTHS, "--rate", "2", "--on", "h100-sxm,ascend-910b",
                     "--ttft-p95", "5", "--tpot-p95", "0.1")  # fmt: skip
    assert {"plans", "pareto", "rejected", "assumptions"} <= set(found)
    keys = {"accelerator", "accelerators", "placement", "replicas", "weights", "kv_dtype", "engine", "usd_per_hour"}
    for item in found["plans"]:
        assert keys | {"usd_per_million_output_tokens", "ttft_s", "tpot_s"} <= set(item)
        assert set(item["placement"]) == {"tp", "pp", "dp", "ep"}
        size = item["placement"]
        assert item["accelerators"] == size["tp"] * size["pp"] * size["dp"] * item["replicas"]
        assert item["ttft_p95_s"] <= 5 and item["tpot_p95_s"] <= 0.1
    costs = [item["usd_per_hour"] for item in found["plans"]]
    assert costs == sorted(costs)
    assert {item["accelerator"] for item in found["plans"]} == {"h100-sxm", "ascend-910b2"}
    assert all({"candidate", "code", "reason"} <= set(item) for item in found["rejected"])


def test_plan_of_a_study_equals_the_plan_of_its_flags(document: Any, run: Any, tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    code, out, err = run(*PLAN, "--json", "--write-study", str(path))
    assert code == 0 and "wrote" in err
    flags = json.loads(out)
    assert document("plan", str(path))["plans"] == flags["plans"]


def test_hypothetical_models_are_labelled_wherever_they_show(run: Any, document: Any) -> None:
    name = next(row["id"] for row in document("models")["models"] if row["hypothetical"])
    assert "HYPOTHETICAL" in run("params", name)[2]
    assert "HYPOTHETICAL" in run("plan", name, *LENGTHS, "--rate", "1", "--on", "h200-sxm")[1]
    found = document("memory", name, "--on", "h200-sxm", "--tp", "8", "--ep", "8", "--context", "4096")
    assert any("HYPOTHETICAL" in text for text in found["assumptions"])


@pytest.mark.parametrize(
    "argv",
    [
        ("models", "qwen3"),
        ("hardware",),
        ("hardware", "show", "h100-sxm"),
        ("params", "Qwen/Qwen3-32B"),
        ("kv", "google/gemma-3-27b-it", "--curve"),
        ("memory", "Qwen/Qwen3-32B", *ON, "--tp", "2"),
        ESTIMATE,
        PLAN,
        (*PLAN, "--own"),
        (*PLAN[:-4], "--users", "50", *ON),
        ("plan", "Qwen/Qwen3-8B", "--workload", "chat", *ON),
        ("--help",),
    ],
)
def test_tables_for_people(run: Any, argv: tuple[str, ...]) -> None:
    code, out, err = run(*argv)
    assert code == 0, err
    assert len(out.splitlines()) > 2
    assert "nan" not in out.split()


def test_no_plan_says_why(run: Any) -> None:
    code, out, _ = run("plan", "deepseek-ai/DeepSeek-V3", *LENGTHS, "--rate", "1", "--on", "l40s")
    assert code == 0
    assert "No plan" in out and "no_memory" in out


# ---- bad input

NEARLY = ("plan", "Qwen/Qwen3-8B", *LENGTHS)
BAD: list[tuple[tuple[str, ...], str]] = [
    ((*ESTIMATE[:-4], "--input", "-5", "--output", "5"), "--input"),
    ((*ESTIMATE[:-4], "--input", "5", "--output", "-5"), "--output"),
    ((*ESTIMATE[:-4], "--input", "nan", "--output", "5"), "--input"),
    ((*ESTIMATE[:-4], "--input", "1e300", "--output", "5"), "--input"),
    ((*ESTIMATE[:-4], "--input", "inf", "--output", "5"), "--input"),
    ((*ESTIMATE[:-4], "--input", "140000", "--output", "5"), "131,072"),
    ((*ESTIMATE[:-4], "--input", "ten", "--output", "5"), "--input"),
    (ESTIMATE[:-2], "--output"),
    ((*ESTIMATE, "--concurrency", "nan"), "--concurrency"),
    ((*ESTIMATE, "--concurrency", "0"), "--concurrency"),
    ((*ESTIMATE, "--rate", "-1"), "--rate"),
    ((*ESTIMATE, "--rate", "1e300"), "--rate"),
    ((*ESTIMATE, "--rate", "100000"), "replicas"),
    ((*ESTIMATE, "--rate", "1", "--max"), "--max"),
    ((*ESTIMATE, "--prefix-cache-hit-rate", "1.5"), "--prefix-cache-hit-rate"),
    ((*ESTIMATE, "--speculative-tokens", "-1"), "--speculative-tokens"),
    ((*ESTIMATE, "--speculative-tokens", "99999999999"), "--speculative-tokens"),
    ((*ESTIMATE, "--acceptance-length", "9"), "--acceptance-length"),
    ((*ESTIMATE, "--memory-utilization", "nan"), "--memory-utilization"),
    ((*ESTIMATE, "--memory-utilization", "1.01"), "--memory-utilization"),
    ((*ESTIMATE, "--max-num-seqs", "99999999999999999999"), "--max-num-seqs"),
    ((*ESTIMATE, "--max-num-batched-tokens", "0"), "--max-num-batched-tokens"),
    ((*ESTIMATE, "--weights", "fp88"), "fp8"),
    ((*ESTIMATE, "--weights", "nvfp4.5"), "--weights"),
    ((*ESTIMATE, "--kv-dtype", "bf61"), "bf16"),
    ((*ESTIMATE, "--engine", "vlm"), "vllm"),
    ((*ESTIMATE, "--engine", "mindie"), "--engine"),
    ((*ESTIMATE, "--engine-version", "new"), "--engine-version"),
    ((*ESTIMATE, "--price", "cheap"), "--price"),
    ((*ESTIMATE, "--price", "h100-sxm=-1"), "--price"),
    ((*ESTIMATE, "--price", "h100-sxm=nan"), "--price"),
    ((*ESTIMATE, "--price", "foo=2"), "--price"),
    ((*ESTIMATE, "--price", "=1"), "--price"),
    ((*ESTIMATE, "--price", "h999=1"), "h999"),
    ((*ESTIMATE, "--catalog", "/nonexistent/here"), "/nonexistent/here"),
    (("estimate", "Qwen/Qwen3-32B", *ON, "--tp", "1", *LENGTHS, "--weights", "fp3"), "--weights"),
    (("estimate", "Qwen/Qwen3-235B-A22B", *ON, "--tp", "4", *LENGTHS), "does not fit"),
    (("estimate", "Qwen/Qwen3-32B", *ON, "--tp", "3", *LENGTHS), "64 attention heads"),
    (("estimate", "Qwen/Qwen3-32B", *ON, "--tp", "2", "--ep", "2", *LENGTHS), "--ep"),
    (("estimate", "Qwen/Qwen3-32B", "--on", "h1000-sxm", *LENGTHS), "h100-sxm"),
    (("memory", "Qwen/Qwen3-32B", *ON, "--tp", "0"), "--tp"),
    (("memory", "Qwen/Qwen3-32B", *ON, "--tp", "99999999999999999999"), "--tp"),
    (("memory", "Qwen/Qwen3-32B", *ON, "--context", "-5"), "--context"),
    (("memory", "Qwen/Qwen3-32B", *ON, "--context", "999999"), "131,072"),
    (("memory", "Qwen/Qwen3-32B", *ON, "--speculative-tokens", "-5"), "--speculative-tokens"),
    (("kv", "Qwen/Qwen3-32B", "--tokens", "0"), "--tokens"),
    (("kv", "Qwen/Qwen3-32B", "--tokens", "10000000000000"), "--tokens"),
    (("kv", "Qwen/Qwen3-32B", "--kv-dtype", "bf61"), "bf16"),
    (("params", "Qwen/Qwen3-23B"), "Qwen/Qwen3-32B"),
    (("params", "qwen3-32bb"), "Qwen3-32B"),
    (("params", ""), "model"),
    (("params", "/nonexistent/config.json"), "/nonexistent/config.json"),
    (("params", "two\nlines"), "model"),
    (("hardware", "show", "h10"), "h100-sxm"),
    (("hardware", "check", "/nonexistent.yaml"), "/nonexistent.yaml"),
    (("hardware", "nonsense"), "nonsense"),
    (("nonsense",), "nonsense"),
    (("plan",), "study"),
    (("plan", "nowhere.yaml"), "nowhere.yaml"),
    (("plan", "Qwen/Qwen3-8B", "--input", "-1", "--output", "2", "--rate", "1"), "--input"),
    (("plan", "Qwen/Qwen3-8B", "--input", "x", "--output", "2", "--rate", "1"), "--input"),
    (("plan", "Qwen/Qwen3-8B", "--input", "10"), "--output"),
    (("plan", "Qwen/Qwen3-8B", "--input", "100000", "--output", "50000", "--rate", "1"), "context"),
    (NEARLY, "--rate"),
    ((*NEARLY, "--rate", "nan"), "--rate"),
    ((*NEARLY, "--rate", "1e30"), "--rate"),
    ((*NEARLY, "--rate", "1", "--users", "5"), "--rate"),
    ((*NEARLY, "--users", "0"), "users"),
    ((*NEARLY, "--users", "5", "--think", "nan"), "think"),
    ((*NEARLY, "--rate", "1", "--headroom", "1"), "headroom"),
    ((*NEARLY, "--rate", "1", "--ttft-p95", "-1"), "ttft"),
    ((*NEARLY, "--rate", "1", "--tpot-p95", "nan"), "tpot"),
    ((*NEARLY, "--rate", "1", "--spare", "-1"), "spare"),
    ((*NEARLY, "--rate", "1", "--max-nodes", "0"), "max_nodes"),
    ((*NEARLY, "--rate", "1", "--top", "0"), "--top"),
    ((*NEARLY, "--rate", "1", "--on", "h100-sxm,h1000"), "h1000"),
    ((*NEARLY, "--rate", "1", "--engine", "vlm"), "vllm"),
    ((*NEARLY, "--rate", "1", "--weights", "fp88"), "fp8"),
    ((*NEARLY, "--rate", "1", "--kv-dtype", "bf61"), "bf16"),
    ((*NEARLY, "--rate", "1", "--workload", "chatt"), "chat"),
    ((*NEARLY, "--rate", "1", "--write-study", "/nonexistent/s.yaml"), "/nonexistent/s.yaml"),
    ((*NEARLY, "--rate", "1", "--price", "junk"), "--price"),
]


@pytest.mark.parametrize(("argv", "names"), BAD, ids=[" ".join(argv[-4:])[:60] for argv, _ in BAD])
@pytest.mark.parametrize("as_json", [False, True], ids=["table", "json"])
def test_bad_input_is_one_line_and_exit_code_2(run: Any, argv: tuple[str, ...], names: str, as_json: bool) -> None:
    if as_json and argv[:2] == ("hardware", "check"):
        pytest.skip("has no --json")
    code, out, err = run(*argv, *(("--json",) if as_json else ()))
    assert code == 2
    assert out == ""
    assert len(err.splitlines()) == 1 and err.startswith("sizing: ")
    assert names in err
    assert "Traceback" not in err and "internal error" not in err
    assert len(err) < 700


CONFIG = {
    "model_type": "qwen3", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "head_dim": 16, "intermediate_size": 128, "vocab_size": 256, "max_position_embeddings": 4096,
    "tie_word_embeddings": False,
}  # fmt: skip


def test_a_config_of_ones_own(document: Any, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    found = document("params", str(tmp_path))
    # 2 x embedding 256*64; a layer: q 64*64, k and v 64*32 each, o 64*64, mlp 3*64*128, norms 2*64 and 2*16; final norm
    layer = 64 * 64 * 2 + 64 * 32 * 2 + 3 * 64 * 128 + 2 * 64 + 2 * 16
    assert found["total"] == 2 * 256 * 64 + 2 * layer + 64
    assert document("params", str(tmp_path / "config.json"))["total"] == found["total"]


@pytest.mark.parametrize(
    ("key", "value"),
    [("hidden_size", "many"), ("hidden_size", float("nan")), ("num_hidden_layers", -1), ("vocab_size", 10**30),
     ("num_attention_heads", None), ("model_type", "nonsense_9"), ("model_type", 5), ("num_key_value_heads", 1.5)],
)  # fmt: skip
def test_a_strange_value_in_a_config_names_its_key(run: Any, tmp_path: Path, key: str, value: object) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**CONFIG, key: value}))
    code, out, err = run("params", str(path))
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert key in err or "NaN" in err


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"a": ' * 3000, "{}"])
def test_a_broken_config(run: Any, tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    code, out, err = run("params", str(path))
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1 and ("config.json" in err or "model_type" in err)


@pytest.mark.parametrize("text", ["model: [", "a: !!python/object:os.system x", "- 1", "", "model: x\nmodle: y\n"])
def test_a_broken_study(run: Any, tmp_path: Path, text: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    code, out, err = run("plan", str(path))
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1 and "internal" not in err


def test_a_broken_catalog_of_ones_own(run: Any, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("accelerators:\n  - id: [")
    code, out, err = run("hardware", "--catalog", str(tmp_path))
    assert (code, out) == (2, "")
    assert "mine.yaml" in err and len(err.splitlines()) == 1


# ---- real processes


def process(*argv: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    root = str(Path(__file__).resolve().parents[2])
    env = {**os.environ, "PYTHONPATH": root}
    return subprocess.run(
        [sys.executable, "-m", "sizing", *argv], capture_output=True, text=True, cwd=cwd, env=env, timeout=900
    )


def test_a_process_prints_json_and_nothing_else(tmp_path: Path) -> None:
    done = process(*ESTIMATE, "--json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["bottleneck"]


def test_a_process_with_bad_input() -> None:
    done = process("estimate", "Qwen/Qwen3-32B", "--on", "h100-sxm", "--input", "nan", "--output", "1")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "sizing: --input: must be a number from 1 to 100,000,000, not nan\n"


def test_a_reader_that_stops_early_is_no_error() -> None:
    root = str(Path(__file__).resolve().parents[2])
    command = f"'{sys.executable}' -m sizing hardware --json | head -c 10"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": root}
    )
    assert "Traceback" not in done.stderr


def test_version(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"sizing {sizing.__version__}\n"


@pytest.mark.parametrize(
    "argv",
    [["models"], ["kv", "Qwen/Qwen3-8B"], ["hardware", "show", "l40s"], ["claim", "Qwen3-8B, 128K context, H100"]],
)
def test_every_document_names_its_contract(argv, capsys):
    with pytest.raises(SystemExit):
        main([*argv, "--json"])
    assert next(iter(json.loads(capsys.readouterr().out).items())) == ("json_version", 1)


def test_help_keeps_what_stands_in_brackets(capsys):
    with pytest.raises(SystemExit):
        main(["plan", "--help"])
    assert "[s]" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "llm-sizing[web]" in capsys.readouterr().out


def test_a_model_that_resembles_none_says_what_would_do(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["params", "zzzzzz"])
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "sizing models" in said


def test_many_requests_are_written_out(capsys):
    argv = ["estimate", "deepseek-ai/DeepSeek-V3", "--on", "h200-sxm", "--dp", "16", "--ep", "16", "--max"]
    with pytest.raises(SystemExit):
        main([*argv, "--input", "100", "--output", "100"])
    assert ", 16,384 requests of 100 in" in capsys.readouterr().out


def test_an_accelerator_that_resembles_none_says_what_would_do(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["hardware", "show", "zzzzzz"])
    assert stop.value.code == 2
    assert "sizing hardware" in capsys.readouterr().err


def test_old_flags_work_with_a_note(capsys: pytest.CaptureFixture[str]) -> None:
    found = []
    for flags in (("--prefix-hit", "0.5", "--draft-tokens", "2", "--acceptance", "2"),
                  ("--prefix-cache-hit-rate", "0.5", "--speculative-tokens", "2", "--acceptance-rate", "0.5")):  # fmt: skip
        with pytest.raises(SystemExit) as ended:
            main([*ESTIMATE, *flags, "--json"])
        assert not ended.value.code
        found.append(capsys.readouterr())
    assert found[0].out == found[1].out
    assert "--prefix-hit is now called --prefix-cache-hit-rate" in found[0].err and not found[1].err


def test_a_price_with_a_catalog_that_is_wrong_names_the_catalog(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "card.yaml"
    file.write_text("accelerators: [{id: zx-200, name: ZX, vendor: Z, memory: {nominal_gb: 96}}]")
    with pytest.raises(SystemExit) as ended:
        main(["plan", "qwen3-8b", "--catalog", str(file), "--on", "zx-200", "--input", "100", "--output", "10", "--rate",
              "1", "--price", "zx-200=1.9"])  # fmt: skip
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "card.yaml: zx-200" in said and "internal error" not in said and said.count("\n") == 1
