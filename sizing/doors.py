"""Public functions over the parts that stand side by side: claims, reports, launch files, validation, simulation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sizing.base.checked import one_of, public, real, required, text, whole
from sizing.base.errors import SizingError
from sizing.engine.placement import Placement
from sizing.hardware import Accelerator, Catalog
from sizing.model.architecture import Architecture
from sizing.planning.result import Result
from sizing.workload import Workload

if TYPE_CHECKING:
    from sizing.claims import Claim, Examination
    from sizing.evidence.validation import Validation
    from sizing.planning.replay import Replay
    from sizing.serving.simulate import SimulationResult

ROW_KINDS = ("serving", "throughput", "memory")
MOST_SIMULATED = 1_000_000  # requests of one call


def claim(said: str | Claim, *, catalog: Catalog | None = None, **given: Any) -> Examination:
    """Examine a claim, in people's own words or as a ``sizing.claims.Claim``.

    given: fields of the claim that the words leave out, such as ``model="deepseek-v3"``. The answer has a verdict, a
    finding with its working for each part, and what was not understood. Raises SizingError where nothing in it can be
    checked.

    >>> import sizing
    >>> sizing.claim("Qwen3-32B: $0.07 per million tokens on H100").verdict
    'no batch reaches it'
    """
    from sizing.claims import Claim, examine, parse_claim

    if isinstance(said, Claim):
        if given:
            raise SizingError("is given twice", key=", ".join(given), hint="put it into the Claim")
        return examine(said, catalog)
    if not isinstance(said, str):
        raise SizingError("must be a text or a sizing.claims.Claim", key="claim")
    return examine(parse_claim(said, **given), catalog)


@public(
    answer=required(one_of(Result, what="sizing.plan(...)")), kind=text, plan=required(whole), catalog=one_of(Catalog)
)
def deploy(
    answer: Result,
    directory: str | Path | None = None,
    *,
    kind: str = "compose",
    plan: int = 1,
    date: str | None = None,
    catalog: Catalog | None = None,
) -> dict[str, str]:
    """Launch files of a plan, by name; written into ``directory`` (made if absent) where one is given.

    kind: "command", "compose", "kubernetes", "lws", "kserve", "llm-d", "dynamo", "benchmark" or "all". plan: which
    one of the answer, 1 the best. Raises SizingError for a plan or kind that there isn't.
    """
    from sizing.base.files import write_text
    from sizing.deploy.files import deployment_files
    from sizing.deploy.plan_spec import spec_of

    if answer.plans and not 1 <= plan <= len(answer.plans):
        raise SizingError(f"there are {len(answer.plans)} plans, not {plan}", key="--plan")
    chosen = answer.plans[plan - 1] if answer.plans else None
    files = deployment_files(spec_of(answer, chosen, date=date, catalog=catalog), kind)
    if directory is None:
        return files
    folder = Path(directory)
    if folder.exists() and not folder.is_dir():
        raise SizingError("is not a directory", key="-o")
    for name in files:
        if Path(name).name != name:
            raise SizingError(f"{name[:80]!r} is not a plain file name", key="-o")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SizingError(f"can't be made: {error.strerror or error}", key=str(folder)) from None
    for name, content in files.items():
        write_text(folder / name, content)
    return files


def validate(rows: str | Path, kind: Literal["serving", "throughput", "memory"] = "serving") -> Validation:
    """Predict every row of a table of measurements, and compare; see ``sizing validate``.

    kind: what the rows are. Raises SizingError for a file that is not such a table.
    """
    if kind not in ROW_KINDS:
        raise SizingError(f"must be one of {', '.join(ROW_KINDS)}, not {str(kind)[:40]!r}", key="kind")
    if not isinstance(rows, str | Path):
        raise SizingError("must be the path of a CSV file", key="rows")
    from sizing.evidence import validation

    return validation.run(kind, Path(rows))


@public(
    trace=required(one_of(str, Path)),
    model=required(one_of(str, Path, Architecture)),
    accelerator=required(one_of(str, Accelerator)),
    placement=one_of(Placement),
    max_num_seqs=whole,
    max_num_batched_tokens=whole,
    memory_utilization=real,
)
def replay(
    trace: str | Path,
    model: str | Path | Architecture,
    accelerator: str | Accelerator,
    placement: Placement | None = None,
    *,
    max_num_seqs: int | None = None,
    max_num_batched_tokens: int | None = None,
    memory_utilization: float | None = None,
    **options: Any,
) -> Replay:
    """Serve the requests of a trace file one by one in the simulated scheduler; see ``sizing replay``.

    trace: arrivals and lengths (Azure, Mooncake, CSV, JSON Lines), measured times beside them or not. options: engine,
    engine_version, weights, kv_dtype, catalog, calibration. Raises SizingError where the file is no trace, the placement
    has pipeline stages or the model does not fit.

    >>> import pathlib, sizing, tempfile
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "two.csv"
    >>> _ = file.write_text("arrival_s,input_tokens,output_tokens\\n0,1000,100\\n0.5,500,50\\n")
    >>> sizing.replay(file, "qwen3-8b", "h100-sxm").result.completed
    2
    """
    from sizing.planning.replay import Flags
    from sizing.planning.replay import replay as run
    from sizing.planning.target import resolve_target

    known = {"engine", "engine_version", "weights", "kv_dtype", "catalog", "calibration"}
    for name in options:
        if name not in known:
            raise SizingError(
                f"takes no argument {name[:80]!r}", key="replay", hint=f"it takes {', '.join(sorted(known))}"
            )
    target = resolve_target(model, accelerator, **options)
    return run(trace, target, placement, Flags(max_num_seqs, max_num_batched_tokens, memory_utilization))


@public(
    model=required(one_of(str, Path, Architecture)),
    accelerator=required(one_of(str, Accelerator)),
    placement=one_of(Placement),
    workload=required(one_of(Workload, what='sizing.preset("chat")')),
    rate=required(real),
    requests=required(whole),
    seed=required(whole),
)
def simulate(
    model: str | Path | Architecture,
    accelerator: str | Accelerator,
    placement: Placement | None = None,
    *,
    workload: Workload,
    rate: float,
    requests: int = 2000,
    seed: int = 0,
    **options: Any,
) -> SimulationResult:
    """Serve random requests of a workload, one after another, on one data-parallel rank of a placement.

    rate: requests/s that arrive at the rank (Poisson). requests: how many are served. options: those of
    ``sizing.estimate`` that say what serves (engine, weights, kv_dtype, max_num_seqs, ...). Raises SizingError where
    the input is wrong or the model does not fit.

    >>> import sizing
    >>> answer = sizing.simulate("qwen3-8b", "h100-sxm", workload=sizing.preset("chat"), rate=1.0, requests=200)
    >>> answer.completed
    200
    """
    from sizing.planning.estimate import MAX_RATE, batching_of, estimate
    from sizing.planning.simulation import simulate_rank

    if not 0 < rate <= MAX_RATE:
        raise SizingError(f"must be above 0 and at most {MAX_RATE:,.0f} requests/s, not {rate:g}", key="rate")
    if not 1 <= requests <= MOST_SIMULATED:
        raise SizingError(f"must be from 1 to {MOST_SIMULATED:,}, not {requests}", key="requests")
    place = placement or Placement()
    shape = {"input_tokens": workload.mean_input_tokens(), "output_tokens": workload.mean_output_tokens()}
    found = estimate(model, accelerator, place, concurrency=1.0, **{**options, **shape})
    flags = found.memory.load
    return simulate_rank(
        found.target, place, flags, batching_of(found.target, flags.max_num_batched_tokens),
        found.memory.kv_pool_tokens, workload, float(rate), requests=requests, seed=seed,
    )  # fmt: skip
