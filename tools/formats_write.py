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

    by_module = {"_default": ao.Int8WeightOnlyConfig(), "model.layers.0.self_attn.q_proj": None}
    for name, config in {
        "ao_modules": ao.FqnToConfig(by_module),
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


def modelopt(out: Path) -> None:
    import copy

    import torch
    from modelopt.torch import quantization as mtq
    from modelopt.torch.export import export_hf_checkpoint

    for name, config in {
        "mo_fp8": "FP8_DEFAULT_CFG", "mo_fp8pc": "FP8_PER_CHANNEL_PER_TOKEN_CFG", "mo_nvfp4": "NVFP4_DEFAULT_CFG",
        "mo_awq": "INT4_AWQ_CFG", "mo_w4a8awq": "W4A8_AWQ_BETA_CFG", "mo_mxfp8": "MXFP8_DEFAULT_CFG",
        "mo_mxfp4": "MXFP4_DEFAULT_CFG", "mo_int8wo": "INT8_WEIGHT_ONLY_CFG", "mo_sq": "INT8_SMOOTHQUANT_CFG",
        "mo_pbwo": "FP8_2D_BLOCKWISE_WEIGHT_ONLY_CFG", "mo_nvfp4mlp": "NVFP4_MLP_ONLY_CFG",
    }.items():  # fmt: skip

        def run(name: str = name, config: str = config) -> None:
            model = loaded(out)
            settings = copy.deepcopy(getattr(mtq, config))
            if name == "mo_nvfp4":
                settings = mtq.utils.update_quant_cfg_with_kv_cache_quant(settings, mtq.NVFP4_KV_CFG["quant_cfg"])
            mtq.quantize(model, settings, lambda made: made(torch.randint(0, 1000, (2, 64))))
            with torch.inference_mode():
                export_hf_checkpoint(model, export_dir=str(out / name))

        attempt(name, run)


def quark(out: Path) -> None:
    import torch
    from quark.torch import LLMTemplate, ModelQuantizer, export_safetensors

    for scheme in ("fp8", "ptpc_fp8", "int8", "int4_wo_32", "int4_wo_128", "uint4_wo_128", "mxfp4", "mxfp6_e2m3"):

        def run(scheme: str = scheme) -> None:
            cache = "fp8" if scheme == "fp8" else None
            tool = ModelQuantizer(LLMTemplate.get("llama").get_config(scheme=scheme, kv_cache_scheme=cache))
            made = tool.quantize_model(loaded(out), torch.utils.data.DataLoader(torch.randint(0, 1000, (1, 64))))
            export_safetensors(tool.freeze(made), str(out / f"quark_{scheme}"))

        attempt(scheme, run)


def quanto(out: Path) -> None:
    from optimum.quanto import QuantizedModelForCausalLM, qfloat8, qint4, qint8

    for name, kind in {"quanto4": qint4, "quanto8": qint8, "quantof8": qfloat8}.items():

        def run(name: str = name, kind: object = kind) -> None:
            made = QuantizedModelForCausalLM.quantize(loaded(out), weights=kind, exclude="lm_head")
            made.save_pretrained(str(out / name))

        attempt(name, run)


def hqq(out: Path) -> None:
    import torch
    from hqq.core.quantize import BaseQuantizeConfig
    from hqq.models.hf.base import AutoHQQHFModel

    model = loaded(out)
    settings = BaseQuantizeConfig(nbits=4, group_size=64)
    AutoHQQHFModel.quantize_model(model, quant_config=settings, compute_dtype=torch.bfloat16, device="cpu")
    AutoHQQHFModel.save_quantized(model, str(out / "hqq4"))


def msmodelslim(out: Path) -> None:
    import shutil

    import torch
    from msmodelslim.pytorch.llm_ptq.llm_ptq_tools import Calibrator, QuantConfig
    from transformers import LlamaForCausalLM

    few = {"is_lowbit": True, "open_outlier": False, "group_size": 64}
    for name, keys in {
        "ms_w8a8": {"w_bit": 8, "a_bit": 8}, "ms_w8a8d": {"w_bit": 8, "a_bit": 8, "is_dynamic": True},
        "ms_w8a16": {"w_bit": 8, "a_bit": 16}, "ms_w4a16": {"w_bit": 4, "a_bit": 16, **few},
    }.items():  # fmt: skip

        def run(name: str = name, keys: dict[str, object] = keys) -> None:
            model = LlamaForCausalLM.from_pretrained(out / "bf16", dtype=torch.float32)
            settings = QuantConfig(dev_type="cpu", disable_names=["lm_head"], **keys)
            tool = Calibrator(model, settings, calib_data=[[torch.randint(0, 1000, (1, 32))]], disable_level="L0")
            tool.run()
            tool.save(str(out / name), save_type=["safe_tensor"])
            shutil.copy(out / "bf16/config.json", out / name / "config.json")

        attempt(name, run)


if __name__ == "__main__":
    folder = Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    attempt(sys.argv[1], lambda: globals()[sys.argv[1]](folder))
