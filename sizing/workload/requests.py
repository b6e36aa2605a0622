"""A stream of requests as arrays: what a workload generates, a trace holds and a simulation eats."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sizing.base.errors import SizingError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MAX_REQUESTS = 20_000_000


@dataclass(frozen=True)
class Requests:
    """Requests in order of arrival (seconds, not decreasing) with their tokens.

    ``cached_tokens`` of the input are found in the prefix cache. With ``users`` > 0 it is a closed loop: that
    many users send the requests in order, each one the next as soon as its last is done and it has thought
    for ``think_s`` (seconds by request, or None); ``arrival_s`` is then ignored.
    """

    arrival_s: FloatArray
    input_tokens: IntArray
    output_tokens: IntArray
    cached_tokens: IntArray
    users: int = 0
    think_s: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.arrival_s)

    def checked(self) -> Requests:
        """The same with plain dtypes, or SizingError naming the field at fault."""
        n = len(self.arrival_s)
        if n == 0:
            raise SizingError("there are no requests", key="requests")
        if n > MAX_REQUESTS:
            raise SizingError(f"{n} requests are more than {MAX_REQUESTS}", key="requests")
        if self.users < 0:
            raise SizingError("must be at least 0", key="users")
        arrival = np.ascontiguousarray(self.arrival_s, dtype=np.float64)
        tokens = {}
        for name in ("input_tokens", "output_tokens", "cached_tokens"):
            value = np.ascontiguousarray(getattr(self, name), dtype=np.int64)
            if len(value) != n:
                raise SizingError(f"has {len(value)} values for {n} requests", key=name)
            if value.min() < (0 if name == "cached_tokens" else 1) or value.max() > 1 << 40:
                raise SizingError("is out of range", key=name, hint="at least 1 token (cached: at least 0)")
            tokens[name] = value
        if not np.all(np.isfinite(arrival)) or arrival[0] < 0 or np.any(np.diff(arrival) < 0):
            raise SizingError("must be finite, at least 0 and not decreasing", key="arrival_s")
        if self.think_s is not None and (len(self.think_s) != n or not np.all(self.think_s >= 0)):
            raise SizingError("must be one value of at least 0 for each request", key="think_s")
        # The last prompt token is always computed (its logits are needed), as in vLLM and SGLang.
        cached = np.minimum(tokens["cached_tokens"], tokens["input_tokens"] - 1)
        return Requests(arrival, tokens["input_tokens"], tokens["output_tokens"], cached, self.users, self.think_s)
