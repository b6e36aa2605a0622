"""Fit the model to one's own cluster: results of benchmarks and replayed traces become a ``Calibration``.

A run is compared with the estimate at what was in flight when it was measured; one that sent all its prompts at once, with
a simulation of that burst. What contradicts itself or beats the roofline is refused. A trace with measured times is
simulated, and the two factors are sought that bring its means together.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sizing.base.answers import Answer
from sizing.base.checked import one_of, public, required
from sizing.base.errors import SizingError
from sizing.coefficients.calibration import FIRST_TOKEN_SIGMA, RUN_SIGMA, Calibration, Shift, write_calibration
from sizing.evidence.benchmark_files import read_benchmark
from sizing.evidence.fit_runs import Compared, compare_run
from sizing.evidence.fit_trace import compare_trace, is_trace
from sizing.evidence.shifts import posterior, prior_sigma
from sizing.evidence.stated import Stated
from sizing.hardware import Accelerator, Catalog, load_catalog
from sizing.planning.confidence import width
from sizing.planning.target import Target

LEAST_FACTOR, MOST_FACTOR = 0.5, 2.0  # of a shift that needs no question
FEW_RUNS = 3


@dataclass(frozen=True, repr=False)
class Fitted(Calibration, Answer):
    """A calibration with the runs that it rests on. warnings: what to look at before it is used. assumptions: what the
    files did not state and was taken."""

    runs: tuple[Compared, ...] = ()
    warnings: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """The document of ``sizing calibrate --json``, but for ``written``."""
        return {
            "engine": self.engine,
            "accelerator": self.accelerator,
            "decode": _shift_dict(self.decode),
            "prefill": _shift_dict(self.prefill),
            "runs": [run.to_dict() for run in self.runs],
            "files": list(self.files),
            "warnings": list(self.warnings),
            "assumptions": list(self.assumptions),
        }

    def summary_lines(self) -> list[tuple[str, str]]:
        """The two factors, what they rest on, and what to look at."""
        return [
            ("calibration", f"{self.engine} on {self.accelerator}, {len(self.runs)} runs of {', '.join(self.files)}"),
            ("decode", f"x {self.decode.factor:.3f} (sigma {self.decode.sigma:.3f}, {self.decode.runs} runs)"),
            ("prefill", f"x {self.prefill.factor:.3f} (sigma {self.prefill.sigma:.3f}, {self.prefill.runs} runs)"),
            *(("warning", text) for text in self.warnings[:8]),
        ]

    def write(self, path: str | Path) -> None:
        """Write the file that ``--calibration`` and ``load_calibration`` read."""
        write_calibration(self, Path(path))


def _shift_dict(shift: Shift) -> dict[str, float]:
    return {"factor": shift.factor, "sigma": shift.sigma, "runs": shift.runs}


@public(accelerator=required(one_of(str, Accelerator)), catalog=one_of(Catalog))
def calibrate(
    results: str | Path | Iterable[str | Path],
    accelerator: str | Accelerator,
    *,
    catalog: Catalog | None = None,
    **stated: Any,
) -> Fitted:
    """Fit decode and prefill times to result files of benchmarks, or to traces with measured times, of one's own cluster.

    stated: what the files do not say (see ``sizing.evidence.stated.Stated``): ``model``, ``placement``, ``engine``,
    ``engine_version``, ``weights``, ``kv_dtype``, ``input_tokens``, ``output_tokens``, ``concurrency``, ``replicas``,
    ``draft_tokens``, ``max_num_seqs``, ``max_num_batched_tokens``, ``memory_utilization``. Raises SizingError for files
    that are no results, lack what is needed, contradict themselves, beat the roofline, or are of several engines.

    >>> import json, tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "run.json"
    >>> run = {"backend": "vllm", "model_id": "Qwen/Qwen3-8B", "max_concurrency": 8, "num_prompts": 80, "completed": 80,
    ...        "total_input_tokens": 80000, "total_output_tokens": 16000, "duration": 20.0, "output_throughput": 800.0,
    ...        "mean_ttft_ms": 40.0, "mean_tpot_ms": 9.4}
    >>> _ = file.write_text(json.dumps(run))
    >>> calibrate(file, "h100-sxm", tp=1).decode.runs
    1
    """
    told = Stated.of(stated)
    paths = _paths(results)
    found = catalog or load_catalog()
    runs: list[Compared] = []
    for path in paths:
        if is_trace(path):
            runs.append(compare_trace(path, accelerator, told, found))
        else:
            runs += [compare_run(run, path.name, accelerator, told, found) for run in read_benchmark(path)]
    return _fitted(runs, tuple(dict.fromkeys(path.name for path in paths)))


def _paths(results: object) -> list[Path]:
    given = [results] if isinstance(results, str | Path) else results
    if not isinstance(given, Iterable) or isinstance(given, bytes):
        raise SizingError("must be the path of a result file, or a list of them", key="results")
    paths = []
    for item in given:
        if not isinstance(item, str | Path) or "\0" in str(item):
            raise SizingError("must be the path of a result file, or a list of them", key="results")
        paths.append(Path(item))
    if not paths:
        raise SizingError("no result files were given", key="results")
    return paths


def _fitted(runs: Sequence[Compared], files: tuple[str, ...]) -> Fitted:
    decode = [(run.decode_log, run.sigma) for run in runs if run.decode_log is not None]
    prefill = [
        (run.prefill_log, run.sigma if run.simulated else FIRST_TOKEN_SIGMA)
        for run in runs if run.prefill_log is not None
    ]  # fmt: skip
    if not decode and not prefill:
        raise SizingError("no usable runs in these files", key="RESULT")
    target = _one_target(runs)
    own = Shift(1.0, 0.0, 0)
    shift = {
        name: posterior([x for x, _ in logs], prior_sigma(width(target, quantity)), _pooled([s for _, s in logs], usual))
        if logs or quantity else own
        for name, quantity, logs, usual in (
            ("decode", "tpot", decode, RUN_SIGMA), ("prefill", "ttft", prefill, FIRST_TOKEN_SIGMA))
    }  # fmt: skip
    return Fitted(
        engine=target.engine.name,
        accelerator=target.accelerator.id,
        decode=shift["decode"],
        prefill=shift["prefill"],
        files=files,
        runs=tuple(runs),
        warnings=tuple(dict.fromkeys([*_doubts(shift, decode), *(text for run in runs for text in run.warnings)])),
        assumptions=tuple(dict.fromkeys(text for run in runs for text in run.assumptions)),
    )


def _pooled(sigmas: Sequence[float], usual: float) -> float:
    """One standard deviation for runs of several: that of their mean precision."""
    if not sigmas:
        return usual
    return 1 / math.sqrt(sum(1 / sigma**2 for sigma in sigmas) / len(sigmas))


def _one_target(runs: Sequence[Compared]) -> Target:
    """The target of all runs: a calibration is of one engine on one accelerator."""
    first = runs[0].target
    for run in runs[1:]:
        here = (run.target.engine.name, run.target.accelerator.id)
        if here != (first.engine.name, first.accelerator.id):
            raise SizingError(
                f"is of {here[0]} on {here[1]}, {runs[0].file} of {first.engine.name} on {first.accelerator.id}",
                key=run.file, hint="calibrate each by itself",
            )  # fmt: skip
    return first


def _doubts(shift: dict[str, Shift], decode: Sequence[tuple[float, float]]) -> list[str]:
    said = []
    for name, one in shift.items():
        if one.runs and not LEAST_FACTOR <= one.factor <= MOST_FACTOR:
            said.append(
                f"{name} x {one.factor:.3f} lies outside {LEAST_FACTOR:g} to {MOST_FACTOR:g}: look for a wrong "
                "placement, weight format or load before you use it"
            )
    if (
        shift["decode"].runs
        and shift["prefill"].runs
        and not 0.5 <= shift["prefill"].factor / shift["decode"].factor <= 2
    ):
        said.append("decode and prefill move apart: the runs may not tell them apart, or the cache is smaller")
    logs = [x for x, _ in decode]
    if len(logs) > 1 and max(logs) - min(logs) > math.log(1.5):
        said.append(
            f"the runs do not agree: their decode factors go from {math.exp(min(logs)):.2f} to {math.exp(max(logs)):.2f}"
        )
    if len(logs) < FEW_RUNS:
        said.append("fewer than three runs: the shift rests on little")
    return said
