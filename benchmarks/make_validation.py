"""Write docs/validation.md: what was compared with whose measurements, the error per partition, where not to trust it.

``python benchmarks/make_validation.py [--shared DIR]``; the folder of measurements is ``SIZING_SHARED`` or ../shared.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from sizing.evidence import validation
from sizing.evidence.predict_serving import validate_serving
from sizing.evidence.predict_throughput import predict
from sizing.evidence.rows_throughput import read_throughput_rows
from sizing.evidence.serving_report import serving_section
from sizing.evidence.throughput_docs import markdown as throughput_section

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Predict all rows at hand and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path(os.environ.get("SIZING_SHARED", ROOT.parent / "shared")))
    measured = parser.parse_args().shared / "measurements"
    rows, made = validate_serving(measured / "serving" / "serving.csv.gz")
    tables = read_throughput_rows(measured / "throughput" / "throughput.csv.gz")
    memory = validation.run("memory", measured / "memory" / "memory.csv")
    parts = [
        "# Validation",
        "Written by `benchmarks/make_validation.py` from one run of the program; nothing here is typed by hand. The "
        "measurements are other people's, published with their sources; none is in this repository. Errors are "
        "`|predicted / measured - 1|`; coverage is the share of rows inside p10 to p90, meant to be 80%.",
        "Rerun: `sizing validate ROWS.csv.gz`, `sizing validate --throughput ROWS.csv.gz`, "
        "`sizing validate --memory ROWS.csv`.",
        serving_section(rows, made),
        throughput_section(tables, predict(tables)),
        "## Memory: what engines printed at start-up",
        f"{memory.answered} of {memory.total} rows predicted. Constants by engine and version are in "
        "`sizing/coefficients/memory.yaml`, with the rows that they were fitted on.",
        memory.markdown(),
    ]
    text = "\n\n".join(part.strip() for part in parts) + "\n"
    (ROOT / "docs" / "validation.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
