"""Run by ``tools/formats.py`` in a tool's own environment: ``formats_write.py TOOL FOLDER`` writes tiny checkpoints."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path


def attempt(name: str, action: Callable[[], object]) -> None:
    """Run one writer; a tool that fails says so and the rest goes on."""
    try:
        action()
    except Exception as error:  # whatever a foreign tool raises
        print(f"{name}: not written: {type(error).__name__}: {str(error)[:150]}")


def base(out: Path) -> None:
    import torch
    from tokenizers import Tokenizer, models
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    config = LlamaConfig(
        hidden_size=256, intermediate_size=768, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2,
        head_dim=64, vocab_size=1024, tie_word_embeddings=False, max_position_embeddings=512,
    )  # fmt: skip
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(out / "bf16")
    words = {f"w{number}": number for number in range(1000)} | {"<unk>": 1000}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", eos_token="w0").save_pretrained(out / "bf16")


def loaded(out: Path, **settings: object) -> object:
    import torch
    from transformers import LlamaForCausalLM

    return LlamaForCausalLM.from_pretrained(out / "bf16", dtype=torch.bfloat16, **settings)


def compressed(out: Path) -> None:
    from llmcompressor import oneshot
    from llmcompressor.modifiers.quantization import QuantizationModifier

    for scheme, ignore in (
        ("W4A16", ["lm_head"]), ("W4A16", []), ("W8A8", ["lm_head"]), ("W8A16", ["lm_head"]), ("W4A8", ["lm_head"]),
        ("FP8_DYNAMIC", ["lm_head"]), ("FP8_DYNAMIC", []), ("NVFP4A16", ["lm_head"]),
    ):  # fmt: skip

        def run(scheme: str = scheme, ignore: list[str] = ignore) -> None:
            model = loaded(out)
            oneshot(model=model, recipe=QuantizationModifier(targets="Linear", scheme=scheme, ignore=ignore))
            model.save_pretrained(out / f"ct_{scheme.lower()}{'' if ignore else '_head'}", save_compressed=True)

        attempt(scheme, run)


def bitsandbytes(out: Path) -> None:
    from transformers import BitsAndBytesConfig

    for name, keys in {
        "bnb4": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
        "bnb4_double": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True},
        "bnb8": {"load_in_8bit": True},
    }.items():
        model = loaded(out, quantization_config=BitsAndBytesConfig(**keys), device_map="cpu")
        attempt(name, lambda model=model, name=name: model.save_pretrained(out / name))


def torchao(out: Path) -> None:
    import torch
    from torchao import quantization as ao
    from transformers import TorchAoConfig

    for name, config in {
        "ao_int8": ao.Int8WeightOnlyConfig(),
        "ao_fp8": ao.Float8WeightOnlyConfig(),
        "ao_int8_dynamic": ao.Int8DynamicActivationInt8WeightConfig(),
        "ao_intx4": ao.IntxWeightOnlyConfig(weight_dtype=torch.int4),
    }.items():
        model = loaded(out, quantization_config=TorchAoConfig(config), device_map="cpu")
        attempt(name, lambda model=model, name=name: model.save_pretrained(out / name))


def autoround(out: Path) -> None:
    from auto_round import AutoRound

    for bits in (4, 8):
        tool = AutoRound(str(out / "bf16"), bits=bits, group_size=128, iters=0, disable_opt_rtn=True)
        tool.quantize_and_save(str(out / f"ar{bits}"), format="auto_round")


def mlx(out: Path) -> None:
    for bits in (4, 8):
        command = [
            sys.executable,
            "-m",
            "mlx_lm",
            "convert",
            "--hf-path",
            out / "bf16",
            "--mlx-path",
            out / f"mlx{bits}",
        ]
        subprocess.run([*command, "-q", "--q-bits", str(bits)], check=False)


if __name__ == "__main__":
    folder = Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    attempt(sys.argv[1], lambda: globals()[sys.argv[1]](folder))
