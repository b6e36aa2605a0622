"""Every count of the oracle, to the last parameter and byte."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import pytest

from sizing.base.errors import ConfigError
from sizing.model import sources
from sizing.model.architecture import Architecture
from sizing.model.config import load_config, parse_config
from sizing.model.counts import kv_report
from sizing.model.parts import CacheKind
from sizing.model.quantization.schemes import QuantScheme
from sizing.model.sources import load_model
from tests.model.oracle import COMPONENTS, DIFFERENT, REFUSED, rows, shared

CATALOG = Path(sources.__file__).parent / "catalog"
ROWS = rows()
KNOWN = [row for row in ROWS if row["model"] not in REFUSED]


def expect(row: dict[str, str], column: str, value: float) -> None:
    if (row["model"], column) in DIFFERENT or row[column] == "":
        return
    assert int(float(row[column])) == value, column


def check(arch: Architecture, row: dict[str, str]) -> None:
    components = arch.components()
    for column in COMPONENTS:
        expect(row, column, components[column])
    assert sum(components.values()) == arch.total
    expect(row, "total", arch.total)
    expect(row, "active", arch.active)
    expect(row, "active_noemb", arch.active_without_input_embedding)
    expect(row, "active_no_emb_no_head", arch.active_without_embeddings)
    if (row["model"], "mtp") not in DIFFERENT:
        assert int(row["mtp"] or 0) == arch.mtp
    report = kv_report(arch, 4096)
    expect(row, "kv_bytes_full_per_token", float(str(report["bytes_per_token_full_attention"])))
    expect(row, "kv_bytes_sliding_per_token", float(str(report["bytes_per_token_sliding_window"])))
    expect(row, "state_bytes_per_seq", float(str(report["state_bytes_per_sequence"])))
    expect(row, "indexer_bytes_per_token", float(str(report["indexer_bytes_per_token"])))
    if row["window"]:
        assert report["sliding_window"] == int(row["window"])
    expect(row, "layers", arch.num_layers)
    kinds: Counter[str] = Counter()
    for group in arch.groups:
        kind = group.mixer.cache.kind
        kinds["full"] += group.count * (kind in (CacheKind.FULL, CacheKind.MLA, CacheKind.COMPRESSED))
        kinds["sliding"] += group.count * (kind in (CacheKind.SLIDING, CacheKind.COMPRESSED))
        kinds["state"] += group.count * (kind is CacheKind.STATE)
    expect(row, "n_full", kinds["full"])
    expect(row, "n_sliding", kinds["sliding"])
    expect(row, "n_state_layers", kinds["state"])


@pytest.mark.parametrize("row", KNOWN, ids=[row["model"] for row in KNOWN])
def test_catalog_agrees_with_the_oracle(row: dict[str, str]) -> None:
    check(load_model(row["model"].replace("?", "")), row)


def test_a_trimmed_copy_that_leaves_out_what_counts_is_refused() -> None:
    """Step's flat copy names no heads of the sliding layers; its catalog entry has the build of the whole config."""
    whole = json.loads((CATALOG / "stepfun-ai__Step-3.7-Flash.json").read_text(encoding="utf-8"))
    flat = {**whole["text_config"], "model_type": "step3p7"}
    del flat["attention_other_setting"]
    with pytest.raises(ConfigError, match="num_sliding_attention_heads"):
        parse_config(flat)
    own = load_model("stepfun-ai/Step-3.7-Flash-FP8")
    assert own.total == load_model("stepfun-ai/Step-3.7-Flash").total == 198_937_133_056
    assert isinstance(own.native_quantization, QuantScheme) and own.native_quantization.linear.block == (128, 128)


def test_only_unconfirmed_rows_may_differ() -> None:
    """No count that a checkpoint confirms is excused; Falcon's is the cache of one library, not a count."""
    matches = {row["model"]: row["match"] for row in ROWS}
    excused = {model for model, column in DIFFERENT if matches[model].startswith("exact")}
    assert excused == {"tiiuae/falcon-180B-chat"}
    assert not any(matches[model].startswith("exact") for model in REFUSED)


@pytest.mark.shared
def test_configs_beside_the_project_agree_too() -> None:
    folder = shared()
    if folder is None:
        pytest.skip("no shared material beside the project")
    with (folder / "models" / "oracle.csv").open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            if row["model"] in REFUSED:
                continue
            file = folder / "models" / "configs" / f"{row['model'].replace('/', '__')}.json"
            json.loads(file.read_text(encoding="utf-8"))
            check(load_config(file), row)
