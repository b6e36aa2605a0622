"""A claim as data, and what an examination of it says."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from sizing.base.answers import Answer
from sizing.base.errors import SizingError
from sizing.base.ledger import LedgerLine
from sizing.claims.chinese import in_chinese
from sizing.planning.capacity import TokenKind

Verdict = Literal["holds", "holds only if", "cannot be judged", "no batch reaches it", "does not hold"]
#: From the harmless to the worst: a claim of several parts is as good as its worst part.
VERDICTS: tuple[Verdict, ...] = ("holds", "cannot be judged", "holds only if", "no batch reaches it", "does not hold")


@dataclass(frozen=True)
class Claim:
    """What is claimed; None where the claim doesn't say. Token counts are parameters or tokens, money is USD.

    total, active: parameters. usd_per_million: price per million tokens of ``kind``. usd_per_hour: of one accelerator.
    input_tokens, output_tokens: the request's shape at which a price is judged; context: longest request promised.
    utilisation: share of the hours in which the accelerators serve at all (1: always busy). below, than: "below" this
    share under the list price of "than". training_flops [FLOP/s], training_utilisation, training_bytes: of a training
    run. size_cut, size_bits: weights smaller by this share when stored in this many bits. performance, of: this share
    of another accelerator's performance. unparsed: what was not understood of a claim given as text.
    other_usd_per_million, other_kind: a second price, of other tokens. above: so much dearer than "than". active_share:
    active of total parameters. training_tokens, training_flop [FLOP, the whole run], gpu_hours, training_usd, days: of a
    training run. accelerators: how many of the accelerator; runs: whether that the model runs on them is claimed.
    weight_bits: bits of a weight where no format is named. tokens_per_s: a rate of ``rate_kind`` tokens, ``per``
    "request", "accelerator", "node" or (None) the whole. ttft_s: seconds to the first token. memory_bytes: enough for
    the model. concurrency: requests at once. faster, faster_than: so many times as fast as that accelerator or model.
    wh_per_million, wh_per_request: energy [Wh] of a million tokens, of a request. requests_per_s: requests/s of the whole.
    cache_bytes_per_token: what a token takes in the cache, unsharded. notes: how the text was taken.
    """

    text: str = ""
    model: str | None = None
    total: float | None = None
    active: float | None = None
    usd_per_million: float | None = None
    kind: TokenKind | None = None
    accelerator: str | None = None
    usd_per_hour: float | None = None
    weights: str | None = None
    kv_dtype: str | None = None
    input_tokens: float = 1000.0
    output_tokens: float = 1000.0
    context: int | None = None
    utilisation: float | None = None
    tpot_s: float | None = None
    below: float | None = None
    than: str | None = None
    training_flops: float | None = None
    training_utilisation: float | None = None
    training_bytes: float | None = None
    size_cut: float | None = None
    size_bits: float | None = None
    performance: float | None = None
    of: str | None = None
    unparsed: tuple[str, ...] = ()
    other_usd_per_million: float | None = None
    other_kind: TokenKind | None = None
    above: float | None = None
    active_share: float | None = None
    training_tokens: float | None = None
    training_flop: float | None = None
    gpu_hours: float | None = None
    training_usd: float | None = None
    days: float | None = None
    accelerators: int | None = None
    runs: bool | None = None
    weight_bits: int | None = None
    tokens_per_s: float | None = None
    rate_kind: TokenKind | None = None
    per: Literal["request", "accelerator", "node"] | None = None
    ttft_s: float | None = None
    memory_bytes: float | None = None
    concurrency: float | None = None
    faster: float | None = None
    faster_than: str | None = None
    wh_per_million: float | None = None
    wh_per_request: float | None = None
    requests_per_s: float | None = None
    cache_bytes_per_token: float | None = None
    notes: tuple[str, ...] = ()

    def checked(self) -> Claim:
        """The claim itself; raises SizingError where a figure makes no sense."""
        above_zero = {
            "--total": self.total, "--active": self.active, "--usd-per-million": self.usd_per_million,
            "--input": self.input_tokens, "--output": self.output_tokens, "--context": self.context,
            "--tpot": self.tpot_s, "--training-pflops": self.training_flops, "--training-bytes": self.training_bytes,
            "--bits": self.size_bits, "--performance": self.performance, "--price": self.usd_per_hour,
            "--other-usd-per-million": self.other_usd_per_million, "--above": self.above,
            "--training-tokens": self.training_tokens, "--gpu-hours": self.gpu_hours,
            "--training-usd": self.training_usd, "--days": self.days, "--accelerators": self.accelerators,
            "--tokens-per-s": self.tokens_per_s, "--ttft": self.ttft_s, "--memory": self.memory_bytes,
            "--concurrency": self.concurrency, "--faster": self.faster, "--wh-per-million": self.wh_per_million,
            "--wh-per-request": self.wh_per_request, "--requests-per-s": self.requests_per_s,
            "--cache-bytes": self.cache_bytes_per_token,
        }  # fmt: skip
        for key, value in above_zero.items():
            if value is not None and not 1e-15 < value < 1e24:
                said = f"{value:g}" if abs(value) < 1e300 else "a number of that size"
                raise SizingError(f"must be a number above 0, not {said}", key=key)
        if self.training_flop is not None and not 1 <= self.training_flop < 1e40:
            raise SizingError("must be a number of FLOP from 1 to 1e40", key="--training-flop")
        shares = {
            "--active-share": self.active_share, "--utilisation": self.utilisation, "--below": self.below,
            "--size-cut": self.size_cut, "--training-utilisation": self.training_utilisation,
        }  # fmt: skip
        for key, value in shares.items():
            if value is not None and not 0 < value <= 1:
                raise SizingError(f"must be a share above 0 and at most 1 (or 100%), not {value:g}", key=key)
        if self.total is not None and self.active is not None and self.active > self.total:
            raise SizingError(f"{self.active:g} active parameters are more than {self.total:g} in all", key="--active")
        return self


@dataclass(frozen=True, repr=False)
class Finding(Answer):
    """One part of a claim, examined: what it says, the verdict with its condition, and the working."""

    topic: str
    statement: str
    verdict: Verdict
    because: str
    lines: tuple[LedgerLine, ...] = ()
    assumptions: tuple[str, ...] = ()

    def summary_lines(self) -> list[tuple[str, str]]:
        """What it says, and the verdict with its condition."""
        return [(self.topic, f"{self.statement}: {self.verdict}. {self.because}")]

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "topic": self.topic,
            "statement": self.statement,
            "verdict": self.verdict,
            "because": self.because,
            "lines": [asdict(line) for line in self.lines],
            "assumptions": list(self.assumptions),
        }


@dataclass(frozen=True, repr=False)
class Examination(Answer):
    """A claim with the findings on each of its parts."""

    claim: Claim
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """The verdict of the worst part."""
        if not self.findings:
            return "cannot be judged"
        return max((item.verdict for item in self.findings), key=VERDICTS.index)

    @property
    def sentence(self) -> str:
        """The answer in one sentence: the verdict of the worst part with its reason, and how the others stand."""
        if not self.findings:
            return "It cannot be judged."
        worst, others = self._parts()
        rest = f" ({'; '.join(f'{item.topic}: {item.verdict}' for item in others)})" if others else ""
        said = worst.verdict[0].upper() + worst.verdict[1:]
        return f"{said}: {worst.statement}: {worst.because}{rest}."

    @property
    def sentence_zh(self) -> str:
        """``sentence`` in Chinese."""
        if not self.findings:
            return "无法判断。"
        worst, others = self._parts()
        said = "；".join(f"{in_chinese(item.topic)}：{in_chinese(item.verdict)}" for item in others)
        rest = f"（{said}）" if others else ""
        return "：".join(in_chinese(text) for text in (worst.verdict, worst.statement, worst.because)) + f"{rest}。"

    def _parts(self) -> tuple[Finding, list[Finding]]:
        """The worst part and the others."""
        worst = next(item for item in self.findings if item.verdict == self.verdict)
        return worst, [item for item in self.findings if item is not worst]

    @property
    def assumptions(self) -> tuple[str, ...]:
        """All assumptions, each once."""
        return tuple(dict.fromkeys(text for item in self.findings for text in item.assumptions))

    def summary_lines(self) -> list[tuple[str, str]]:
        """The verdict, then a line for each part."""
        unread = [("not understood", ", ".join(self.claim.unparsed))] if self.claim.unparsed else []
        return [("verdict", self.verdict), *(pair for item in self.findings for pair in item.summary_lines()), *unread]

    def to_dict(self) -> dict[str, Any]:
        """The document of ``sizing claim --json``."""
        stated = {key: value for key, value in asdict(self.claim).items() if value not in (None, (), "")}
        return {
            "claim": stated,
            "verdict": self.verdict,
            "sentence": self.sentence,
            "sentence_zh": self.sentence_zh,
            "findings": [item.to_dict() for item in self.findings],
            "unparsed": list(self.claim.unparsed),
            "assumptions": list(self.assumptions),
        }
