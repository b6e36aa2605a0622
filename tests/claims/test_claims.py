"""Claims: what a sentence says, what would have to be true, and the reference page in step with the program."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path

import pytest

from sizing.base.errors import SizingError
from sizing.claims import Claim, examine, parse_claim
from sizing.claims.reference import render
from sizing.cli import main

ROOT = Path(__file__).parents[2]


def line(finding, name):
    return next(item.value for item in finding.lines if item.name == name)


def test_text_gives_the_parts():
    claim = parse_claim("$0.07 per million input tokens, 1.2T/78B, Ascend 910B, 97.3% below GPT-4 Turbo, bogus")
    assert (claim.total, claim.active) == (1.2e12, 78e9)
    assert (claim.usd_per_million, claim.kind) == (0.07, "input")
    assert claim.accelerator == "Ascend-910B"
    assert claim.below == pytest.approx(0.973)
    assert claim.than == "GPT-4 Turbo"
    assert claim.unparsed == ("bogus",)


def test_text_of_a_training_run():
    claim = parse_claim("R2 trained at 82% utilisation of Ascend 910B, 512 PFLOPS FP16, 5.2 PB data")
    assert claim.training_utilisation == pytest.approx(0.82)
    assert claim.training_flops == 512e15
    assert claim.training_bytes == 5.2e15
    assert claim.model is not None
    assert claim.unparsed == ()


def test_flags_win_over_the_text():
    assert parse_claim("$1 per M output tokens on H100", usd_per_million=2.0, accelerator="a100").usd_per_million == 2.0


def test_contradictions_are_refused():
    with pytest.raises(SizingError, match="contradicts"):
        parse_claim("$1 per million output tokens and $2 per million output tokens")


def test_needed_rate_is_the_hour_over_the_price():
    claim = Claim(model="Qwen3-32B", accelerator="h100-sxm", usd_per_hour=3.6, usd_per_million=1.0, kind="output")
    found = examine(claim).findings[0]
    assert line(found, "needed") == pytest.approx(1000.0)
    half = examine(Claim(**{**vars_of(claim), "utilisation": 0.5})).findings[0]
    assert line(half, "needed") == pytest.approx(2000.0)


def vars_of(claim):
    return {name: getattr(claim, name) for name in claim.__dataclass_fields__}


def test_r2_at_seven_cents_is_out_of_reach():
    found = examine(parse_claim("$0.07 per million tokens, 1.2T/78B, Ascend 910B"))
    assert found.verdict == "no batch reaches it"
    assert any("HYPOTHETICAL" in text for text in found.assumptions)


def test_a_generous_price_holds():
    found = examine(parse_claim("$1000 per million output tokens, Qwen3-8B, H100"))
    assert found.verdict == "holds"


def test_a_middling_price_holds_from_some_batch():
    found = examine(parse_claim("$1 per million output tokens, Qwen3-32B, H100")).findings[0]
    assert found.verdict == "holds only if"
    assert line(found, "least batch") > 1
    assert 0 < line(found, "used at least") < 1


def test_sizes_alone_give_a_bound():
    claim = Claim(total=1e12, active=3e11, usd_per_million=0.01, accelerator="h100-sxm")
    assert examine(claim).verdict == "no batch reaches it"


@pytest.mark.parametrize(
    ("price", "kind", "than", "verdict"),
    [
        (0.27, "output", "GPT-4o", "holds"),
        (0.07, "input", "gpt-4-turbo", "holds only if"),
        (5.0, "output", "GPT-4 Turbo", "does not hold"),
    ],
)
def test_relative_prices(price, kind, than, verdict):
    assert examine(Claim(usd_per_million=price, kind=kind, below=0.973, than=than)).verdict == verdict


def test_unknown_list_price_suggests():
    with pytest.raises(SizingError, match="GPT-4 Turbo"):
        examine(Claim(below=0.97, than="gpt-4-trubo"))


def test_training_chips_and_utilisation():
    found = examine(Claim(accelerator="ascend-910b2", training_flops=512e15, training_utilisation=0.82)).findings[0]
    assert line(found, "accelerators, if peak") == pytest.approx(1447, abs=1)
    assert line(found, "accelerators, if achieved") == pytest.approx(1764, abs=1)
    assert line(found, "a good large run") == pytest.approx(6 * 37e9 * 14.8e12 / (2.664e6 * 3600 * 989e12), rel=0.02)
    assert found.verdict == "holds only if"
    assert "busy" in found.because


def test_contexts():
    assert examine(Claim(model="Qwen3-32B", context=131072)).verdict == "holds only if"
    assert examine(Claim(model="DeepSeek-R1", context=131072)).verdict == "holds"
    assert examine(Claim(model="Qwen3-32B", context=1_000_000)).verdict == "does not hold"


def test_parameters():
    assert examine(Claim(model="Qwen3-235B-A22B", total=235e9, active=22e9)).verdict == "holds"
    assert examine(Claim(model="Qwen3-235B-A22B", total=300e9)).verdict == "does not hold"


def test_eight_bits_are_half():
    assert examine(Claim(size_cut=0.83, size_bits=8)).verdict == "does not hold"
    assert examine(Claim(size_cut=0.5, size_bits=8)).verdict == "holds"


@pytest.mark.parametrize("bad", [{"utilisation": 1.5}, {"usd_per_million": -1.0}, {"total": 1e9, "active": 2e9}])
def test_nonsense_is_refused(bad):
    with pytest.raises(SizingError):
        examine(Claim(**bad))


def test_command_prints_one_json_document(capsys):
    with pytest.raises(SystemExit) as done:
        main(["claim", "$0.07 per million tokens, 1.2T/78B, Ascend 910B", "--price", "2", "--json"])
    assert done.value.code == 0
    document = json.loads(capsys.readouterr().out)
    assert document["verdict"] == "no batch reaches it"
    assert document["claim"]["usd_per_hour"] == 2.0


def test_command_refuses_an_empty_claim(capsys):
    with pytest.raises(SystemExit) as done:
        main(["claim", "nothing", "here"])
    assert done.value.code == 2
    assert "claim:" in capsys.readouterr().err


def test_reference_page_is_what_the_program_says():
    text = (ROOT / "docs" / "claims.md").read_text(encoding="utf-8")
    written = re.search(r"ages of prices are those of (\S+)\.\n", text)
    assert written
    assert text == render(day=date.fromisoformat(written[1])), "run: sizing claim --reference -o docs/claims.md"


@pytest.mark.parametrize(
    "text",
    [
        "97% cheaper than GPT-4 Turbo at $0.07 per million tokens",
        "97% lower cost than GPT-4 Turbo, $0.07 per million tokens",
        "$0.07 per million tokens and 97% below GPT-4 Turbo on Ascend 910B",
        "97% cost reduction compared to GPT-4 Turbo with $0.07 per million tokens",
    ],
)
def test_a_saving_in_other_words(text):
    claim = parse_claim(text)
    assert (claim.below, claim.than, claim.usd_per_million) == (pytest.approx(0.97), "GPT-4 Turbo", 0.07)
    assert not set(claim.unparsed) & {"GPT-4", "Turbo", "cheaper", "lower"}


def test_a_utilisation_alone_is_judged():
    high = examine(parse_claim("82% utilisation on Ascend 910B"))
    assert high.verdict == "holds only if"
    assert "busy" in high.findings[0].because
    assert examine(parse_claim("40% utilization of H100")).verdict == "cannot be judged"
    both = examine(parse_claim("97% below GPT-4 Turbo, 82% utilisation on Ascend 910B"))
    assert [item.topic for item in both.findings] == ["relative price", "utilisation"]


def test_a_utilisation_beside_a_price_says_what_it_is_taken_for():
    found = examine(Claim(model="Qwen3-8B", usd_per_million=1.0, accelerator="h100-sxm", utilisation=0.5))
    assert [item.topic for item in found.findings] == ["price"]
    assert any(text.startswith("50% utilisation is taken as") for text in found.assumptions)
