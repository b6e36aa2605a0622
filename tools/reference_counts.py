"""Compare counts with the reference modelling code on random legal variants of every family it knows.

    python tools/reference_counts.py --trials 40 [--types llama,qwen3] [--seed 0] [--write tests/data/variants.json]
    python tools/reference_counts.py --survey

Needs transformers and torch (CPU); neither is a dependency of this project or of its tests. For every
model_type that both know, the configuration class is filled with small random values, the model is built and run
on eight tokens, and the parameters (whole, embedding, head, routed experts, active), the elements of the cache and
the windows of its layers are compared with ``parse_config`` of the JSON that the class writes, whole and without
its defaults. ``--write`` keeps a compact choice of cases for tests/model/test_variants.py. ``--survey`` builds the
defaults of every causal language model in transformers, cut small, and says which are refused.
"""

from __future__ import annotations

import argparse
import json
import random
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import transformers
from reference_variants import EXPERTS, TOP_K, small
from transformers import CONFIG_MAPPING
from transformers.models.auto import modeling_auto as auto

from sizing.base.errors import SizingError
from sizing.model.config import parse_config
from sizing.model.counts import kv_bytes
from sizing.model.families.registry import BUILDERS, OUTER
from sizing.model.parts import CacheKind

TOKENS = 8
LARGEST = 4_000_000  # parameters of a model that is also run, the others are built without memory
# caches that transformers pads or keeps otherwise than engines
NOT_CACHED = ("deepseek_v4", "qwen4_exp_text", "qwen4_exp", "falcon")

# ---- the reference ----


def build(model_type: str, values: dict[str, Any]) -> tuple[Any, Any]:
    config = CONFIG_MAPPING[model_type](**values)
    tables = ["MODEL_FOR_CAUSAL_LM_MAPPING_NAMES", "MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES"]
    for table in reversed(tables) if hasattr(config, "vision_config") else tables:
        name = getattr(auto, table).get(model_type)
        if name is not None:
            cls = getattr(transformers, name)
            with torch.device("meta"):
                model = cls(config)
            if sum(p.numel() for p in model.parameters()) < LARGEST:
                torch.manual_seed(0)
                model = cls(config)
            return config, model.eval()
    raise LookupError(f"no class for {model_type}")


def reference(config: Any, model: Any, run: bool) -> dict[str, Any]:
    model.tie_weights()
    text = config.get_text_config()
    seen: dict[int, tuple[str, Any]] = {}
    for name, parameter in model.named_parameters():
        seen.setdefault(id(parameter), (name, parameter))
    parameters = list(seen.values())
    total = sum(p.numel() for _, p in parameters)
    embedding = model.get_input_embeddings().weight
    head = model.get_output_embeddings()
    tied = head is not None and head.weight is embedding
    data = text.to_dict()
    data = {**data, **(data.get("ffn_config") or {})}
    number = next((data[key] for key in EXPERTS if isinstance(data.get(key), int)), 0)
    top_k = next((data[key] for key in TOP_K if isinstance(data.get(key), int)), 0)
    routed = sum(p.numel() for name, p in parameters if ".experts." in name and "shared" not in name)
    counts = {
        "total": total,
        "embedding": embedding.numel(),
        "tied": tied,
        "routed": routed,
        "idle": routed * (number - top_k) // number if number else 0,
        "vision": sum(p.numel() for name, p in parameters if of_encoder(name)),
    }
    if run and not embedding.is_meta:
        with torch.no_grad():
            ids = torch.randint(3, 100, (1, TOKENS))
            out = model(input_ids=ids, use_cache=True)
        cache = getattr(out, "past_key_values", None)
        if cache is None:
            cache = getattr(out, "cache_params", None)
        if cache is not None:
            counts["cache"] = elements(cache)
            if model_type_of(config) not in OTHER_WINDOWS:
                counts["windows"] = sorted(
                    layer.sliding_window
                    for layer in getattr(cache, "layers", [])
                    if getattr(layer, "is_sliding", False)
                )
    return counts


OTHER_WINDOWS = ("mimo_v2_flash", "gpt_neo")  # one more token; a mask instead of a shorter cache


def model_type_of(config: Any) -> str:
    return str(config.model_type)


def of_encoder(name: str) -> bool:
    parts = ("visual", "embed_tokens_extend", "vision", "projector", "audio", "image_newline", "connector")
    return any(part in name for part in parts)


def elements(item: Any, seen: set[int] | None = None) -> int:
    """Elements of all tensors that a cache holds."""
    seen = set() if seen is None else seen
    if id(item) in seen:
        return 0
    seen.add(id(item))
    if isinstance(item, torch.Tensor):
        return item.numel() if item.ndim > 1 else 0
    if isinstance(item, dict):
        return sum(elements(value, seen) for value in item.values())
    if isinstance(item, list | tuple):
        return sum(elements(value, seen) for value in item)
    if (
        hasattr(item, "__dict__")
        and type(item).__module__.startswith("transformers")
        and "Config" not in str(type(item))
    ):
        return elements(vars(item), seen)
    return 0


def ours(data: dict[str, Any]) -> dict[str, Any]:
    arch = parse_config(data)
    parts = arch.components()
    states = sum(group.count * group.mixer.cache.state_elements for group in arch.groups)
    return {
        "total": arch.total,
        "embedding": arch.embedding,
        "tied": arch.tie_word_embeddings,
        "routed": parts["routed_experts"],
        "idle": arch.total - arch.active - parts["vision"],
        "vision": parts["vision"],
        "windows": sorted(
            cache.window
            for cache in (arch.groups[index].mixer.cache for index in arch.layer_order)
            if cache.kind is CacheKind.SLIDING and cache.window is not None
        ),
        "cache": int(kv_bytes(arch, float(TOKENS), 1.0)) - states
        - int(sum(g.count * g.mixer.cache.indexer_bytes_per_token for g in arch.groups) * TOKENS) // 2,
    }  # fmt: skip


def plain(value: Any) -> Any:
    """What stands in a config.json."""
    return json.loads(json.dumps(value, default=str))


COUNTED = ("total", "embedding", "tied", "routed", "idle", "vision", "cache", "windows")
NOISE = (
    "transformers_version", "dtype", "rope_parameters", "rope_scaling", "id2label", "label2id", "output_hidden_states",
    "return_dict", "chunk_size_feed_forward", "is_encoder_decoder", "problem_type", "initializer_range", "use_cache",
    "output_attentions", "_name_or_path", "hidden_act", "hidden_dropout", "resid_pdrop", "layer_rope_theta",
)  # fmt: skip


def trimmed(data: dict[str, Any]) -> dict[str, Any]:
    """A config without what no count depends on."""
    dull = {key for key, value in data.items() if key in NOISE or key.endswith("_token_id")}
    return {
        key: trimmed(value) if isinstance(value, dict) else value
        for key, value in data.items()
        if key not in dull and not (value is None and key == "architectures")
    }


def trials(model_type: str, number: int, seed: int, run: bool) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """(outcome, config, detail) of each trial."""
    rng = random.Random(f"{model_type} {seed}")
    for _ in range(number):
        values = small(model_type, rng)
        if values is None:
            return
        try:
            config, model = build(model_type, values)
            if model.num_parameters() < 1:
                raise LookupError("no parameters")
        except Exception as error:
            yield "illegal", values, {"why": f"{type(error).__name__}: {error}"[:300]}
            continue
        try:
            truth = reference(config, model, run and model_type not in NOT_CACHED)
        except Exception as error:
            try:
                truth = reference(config, model, False)
            except Exception as worse:
                yield "illegal", values, {"why": f"{type(worse).__name__}: {worse}"[:300]}
                continue
            truth["not run"] = f"{type(error).__name__}: {error}"[:200]
        for form in (config.to_dict(), {**config.to_diff_dict(), "model_type": model_type}):
            data = plain(form)
            try:
                mine = ours(data)
            except SizingError as error:
                yield "refused", data, {"why": str(error)[:200]}
                continue
            except Exception as error:
                yield "crashed", data, {"why": f"{type(error).__name__}: {error}"[:300]}
                continue
            wrong = {key: (value, mine[key]) for key, value in truth.items() if key in mine and value != mine[key]}
            yield ("wrong" if wrong else "same"), data, {"wrong": wrong, "truth": truth, "values": values}


def main() -> None:
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--types")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", type=int, default=2)
    parser.add_argument("--no-run", action="store_true")
    parser.add_argument("--survey", action="store_true")
    parser.add_argument("--write", type=Path)
    parser.add_argument("--keep", type=int, default=3, help="cases of each type that --write keeps")
    given = parser.parse_args()
    kept: list[dict[str, Any]] = []
    known = sorted({*BUILDERS, *OUTER} & set(CONFIG_MAPPING))
    if given.survey:
        known = sorted(
            set(auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES) | set(auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES)
        )
    for model_type in given.types.split(",") if given.types else known:
        outcomes: Counter[str] = Counter()
        reasons: Counter[str] = Counter()
        shown = 0
        cases: dict[str, dict[str, Any]] = {}
        for outcome, data, detail in trials(model_type, given.trials, given.seed, not given.no_run):
            outcomes[outcome] += 1
            if outcome in ("refused", "crashed", "illegal"):
                reasons[f"{outcome}: {detail['why']}"] += 1
            if detail.get("truth", {}).get("not run"):
                reasons[f"not run: {detail['truth']['not run']}"] += 1
            if outcome == "same":
                truth = {key: value for key, value in detail["truth"].items() if key in COUNTED}
                case = {"config": trimmed(data), **truth}
                label = json.dumps(case["config"], sort_keys=True)
                if "cache" in truth or not cases:
                    cases[label] = case
            if outcome == "wrong" and shown < given.show:
                shown += 1
                print("   ", detail["wrong"], "\n   ", {k: v for k, v in detail["values"].items() if v is not None})
        print(f"{model_type:28}", dict(outcomes), flush=True)
        for reason, times in reasons.most_common(5):
            print(f"        {times} x {reason}")
        kept.extend(sorted(cases.values(), key=lambda case: ("cache" not in case, len(str(case))))[: given.keep])
    if given.write:
        if given.types and given.write.exists():  # the other types' cases stay
            chosen = set(given.types.split(","))
            old = json.loads(given.write.read_text(encoding="utf-8"))
            kept = [case for case in old if case["config"]["model_type"] not in chosen] + kept
        kept.sort(key=lambda case: str(case["config"]["model_type"]))
        lines = ",\n".join(json.dumps(case, sort_keys=True, separators=(",", ":")) for case in kept)
        given.write.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
