"""A workload as people have it: lengths, how requests come, what is cached, what is promised."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from sizing.base.checked import Checked
from sizing.base.errors import SizingError
from sizing.workload.lengths import IntArray, JointLengths, LengthDistribution
from sizing.workload.requests import MAX_REQUESTS, Requests

ImageTokens = Callable[..., int]  # (width, height) in pixels, and frames where it is a video -> tokens


class _Frozen(BaseModel, metaclass=Checked):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class RateArrival(_Frozen):
    """Open loop: ``requests_per_s`` with gamma intervals of shape ``burstiness`` as in vLLM's benchmark.

    Burstiness 1 is Poisson, below 1 is burstier (the squared coefficient of variation of intervals is
    1/burstiness). The rate is that of the busiest hour, or the mean of the day (``rate_is``), which a daily
    curve then scales.
    """

    kind: Literal["rate"] = "rate"
    requests_per_s: float = Field(..., gt=0, le=1e7)
    burstiness: float = Field(1.0, ge=1e-3, le=1e6)
    rate_is: Literal["peak", "mean"] = "peak"


class UsersArrival(_Frozen):
    """Closed loop: ``users`` who read and think for ``think_s`` seconds (mean, exponential) between
    requests.
    """

    kind: Literal["users"] = "users"
    users: int = Field(..., ge=1, le=10_000_000)
    think_s: float = Field(..., ge=0, le=1e6)


class ConcurrencyArrival(_Frozen):
    """Closed loop without thinking: always ``concurrency`` requests in flight (benchmarks'
    max-concurrency).
    """

    kind: Literal["concurrency"] = "concurrency"
    concurrency: int = Field(..., ge=1, le=10_000_000)


class BatchArrival(_Frozen):
    """Offline: ``requests`` that are all there at the start; only throughput counts."""

    kind: Literal["batch"] = "batch"
    requests: int = Field(..., ge=1, le=10**12)


Arrival = Annotated[RateArrival | UsersArrival | ConcurrencyArrival | BatchArrival, Field(discriminator="kind")]


class DailyCurve(_Frozen):
    """Relative load of the 24 hours of a day (any scale; at least one above 0)."""

    weights: tuple[Annotated[float, Field(ge=0, le=1e12)], ...] = Field(..., min_length=24, max_length=24)

    @model_validator(mode="after")
    def _some(self) -> Self:
        if max(self.weights) <= 0:
            raise ValueError("at least one hour must have a weight above 0")
        return self

    @property
    def peak_to_mean(self) -> float:
        """Busiest hour over the mean of the day (at least 1)."""
        return max(self.weights) * len(self.weights) / sum(self.weights)

    @property
    def utilization(self) -> float:
        """Mean over peak: the share of hardware bought for the peak that is used on average."""
        return 1 / self.peak_to_mean


FLAT_DAY = DailyCurve(weights=(1.0,) * 24)


class Picture(_Frozen):
    """Pictures of one size in a request: mean number, size in pixels; ``frames`` above 1 makes each a video."""

    per_request: float = Field(..., gt=0, le=10_000)
    width: int = Field(..., ge=1, le=65_536)
    height: int = Field(..., ge=1, le=65_536)
    frames: int = Field(1, ge=1, le=100_000)

    def mean_tokens(self, image_tokens: ImageTokens) -> float:
        """Their mean tokens in a request."""
        each = (
            image_tokens(self.width, self.height, self.frames)
            if self.frames > 1
            else (image_tokens(self.width, self.height))
        )
        return self.per_request * each


class Images(Picture):
    """Images in a request, by size; ``also`` names those of further sizes. Their tokens come from the model's vision
    tower.

    >>> Images(per_request=2, width=10, height=10, also=[{"per_request": 1, "width": 20, "height": 10}]).tokens_per_request(
    ...     lambda width, height: width * height)
    400
    """

    also: tuple[Picture, ...] = Field((), max_length=100)

    def tokens_per_request(self, image_tokens: ImageTokens) -> int:
        """Mean image tokens of a request, rounded."""
        return round(sum(part.mean_tokens(image_tokens) for part in (self, *self.also)))


class Targets(_Frozen):
    """What is promised; seconds; None is not promised.

    ``goodput_share``: the share of requests that must meet all the p95 limits at once; kept with the study, but the
    planner holds each limit by itself, and says so. ``headroom``: share of a replica's capacity kept free.
    ``spare_replicas``: replicas beyond the need (1 is N+1).
    """

    ttft_p95_s: float | None = Field(None, gt=0)
    ttft_p50_s: float | None = Field(None, gt=0)
    tpot_p95_s: float | None = Field(None, gt=0)
    tpot_p50_s: float | None = Field(None, gt=0)
    e2e_p95_s: float | None = Field(None, gt=0)
    goodput_share: float | None = Field(None, gt=0, le=1)
    headroom: float = Field(0.0, ge=0, lt=1)
    spare_replicas: int = Field(0, ge=0, le=1000)


SHARE_GRID = 16_384  # requests of which a share is counted


class Workload(_Frozen):
    """Everything about the demand; see the fields' types.

    ``input``: tokens of the prompt's text, cached ones included. ``output``: tokens of the answer;
    ``thinking_output_multiplier`` is the factor that thinking adds (total output over answer). ``joint``
    replaces both lengths by pairs from a trace. ``prefix_cache_hit_rate``: share of the input tokens found in
    the cache. ``source`` says where the numbers are from.
    """

    name: str = Field("workload", max_length=200)
    input: LengthDistribution
    output: LengthDistribution
    joint: JointLengths | None = None
    arrival: Arrival = RateArrival(requests_per_s=1.0)
    prefix_cache_hit_rate: float = Field(0.0, ge=0, le=1)
    daily: DailyCurve = FLAT_DAY
    images: Images | None = None
    thinking_output_multiplier: float = Field(1.0, ge=1, le=1000)
    targets: Targets = Targets()
    source: str = Field("", max_length=2000)

    def _image_tokens(self, image_tokens: ImageTokens | None) -> int:
        if self.images is None:
            return 0
        if image_tokens is None:
            message = "the workload has images, so the model's image-token function is needed"
            raise SizingError(message, key="images", hint="a model with a vision tower")
        return self.images.tokens_per_request(image_tokens)

    def _finish(
        self, inputs: IntArray, outputs: IntArray, image_tokens: ImageTokens | None
    ) -> tuple[IntArray, IntArray]:
        longer = np.maximum(1, np.rint(outputs * self.thinking_output_multiplier)).astype(np.int64)
        return inputs + self._image_tokens(image_tokens), longer

    def length_grid(self, n: int, *, image_tokens: ImageTokens | None = None) -> tuple[IntArray, IntArray]:
        """``n`` equally likely (input, output) lengths in tokens, deterministic.

        Independent lengths are paired by a golden-ratio (Kronecker) sequence, so the grid has next to no
        correlation; pairs of a trace are taken at equal strides.
        """
        if self.joint is not None:
            inputs, outputs = self.joint.arrays()
            pick = (np.arange(n) * len(inputs)) // n if n <= len(inputs) else np.arange(n) % len(inputs)
            return self._finish(inputs[pick], outputs[pick], image_tokens)
        order = np.argsort(np.modf((np.arange(n) + 0.5) * 0.6180339887498949)[0], kind="stable")
        return self._finish(self.input.quantiles(n), self.output.quantiles(n)[order], image_tokens)

    def longest_request(self, *, image_tokens: ImageTokens | None = None) -> int:
        """Input and output of the longest request together, images and thinking included [tokens].

        Lengths without a limit count to what one request in ten thousand exceeds.

        >>> from sizing.workload.presets import preset
        >>> preset("chat").longest_request()
        16050
        """
        if self.joint is not None:
            inputs, outputs = self._finish(*self.joint.arrays(), image_tokens)
            return int(np.max(inputs + outputs))
        one = (np.array([self.input.longest]), np.array([self.output.longest]))
        inputs, outputs = self._finish(*one, image_tokens)
        return int(inputs[0] + outputs[0])

    def share_beyond(self, tokens: int, *, image_tokens: ImageTokens | None = None) -> float:
        """The share of requests whose input and output together are longer [0 to 1]."""
        inputs, outputs = self.length_grid(SHARE_GRID, image_tokens=image_tokens)
        return float(np.mean(inputs + outputs > tokens))

    def mean_input_tokens(self, *, image_tokens: ImageTokens | None = None) -> float:
        """Mean prompt tokens, images included."""
        return float(self.length_grid(4096, image_tokens=image_tokens)[0].mean())

    def mean_output_tokens(self) -> float:
        """Mean output tokens, thinking included."""
        raw = self.joint.arrays()[1].mean() if self.joint else self.output.mean_tokens
        return float(raw) * self.thinking_output_multiplier

    @property
    def peak_requests_per_s(self) -> float | None:
        """Requests/s of the busiest hour; None where the arrival is not a rate."""
        if not isinstance(self.arrival, RateArrival):
            return None
        factor = self.daily.peak_to_mean if self.arrival.rate_is == "mean" else 1.0
        return self.arrival.requests_per_s * factor

    @property
    def mean_requests_per_s(self) -> float | None:
        """Requests/s as the mean of the day; None where the arrival is not a rate."""
        peak = self.peak_requests_per_s
        return None if peak is None else peak * self.daily.utilization

    def with_arrival(self, arrival: RateArrival | UsersArrival | ConcurrencyArrival | BatchArrival) -> Workload:
        """The same demand coming in another way."""
        return self.model_copy(update={"arrival": arrival})

    def generate(self, n: int, *, seed: int = 0, image_tokens: ImageTokens | None = None) -> Requests:
        """``n`` random requests at the peak rate (open loop), or for a closed loop or batch; same seed, same
        requests.

        Cached tokens are the hit rate's share of each prompt.
        """
        if not 1 <= n <= MAX_REQUESTS:
            raise SizingError(f"can generate 1 to {MAX_REQUESTS} requests, not {n}", key="requests")
        rng = np.random.default_rng(seed)
        if self.joint is not None:
            inputs, outputs = self.joint.arrays()
            pick = rng.integers(0, len(inputs), n)
            inputs, outputs = inputs[pick], outputs[pick]
        else:
            inputs, outputs = self.input.sample(n, rng), self.output.sample(n, rng)
        inputs, outputs = self._finish(inputs, outputs, image_tokens)
        cached = np.floor(inputs * self.prefix_cache_hit_rate).astype(np.int64)
        times: npt.NDArray[np.float64] = np.zeros(n)
        users, think = 0, None
        if isinstance(self.arrival, RateArrival):
            rate = self.peak_requests_per_s
            assert rate is not None
            shape = self.arrival.burstiness
            times = np.cumsum(rng.gamma(shape, 1 / (rate * shape), n))
        elif isinstance(self.arrival, UsersArrival):
            users = self.arrival.users
            think = rng.exponential(self.arrival.think_s, n)
        elif isinstance(self.arrival, ConcurrencyArrival):
            users = self.arrival.concurrency
        return Requests(times, inputs, outputs, cached, users, think).checked()
