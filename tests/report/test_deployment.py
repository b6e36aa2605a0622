"""From plans to launch files, and the two commands."""

from __future__ import annotations

import pytest
import yaml

import sizing
from sizing.base.errors import SizingError
from sizing.cli import main
from sizing.deploy import deployment_files
from sizing.deploy.plan_spec import spec_of
from tests.report.conftest import DATE, STUDY


def test_every_plan_has_files(result):
    for plan in result.plans:
        spec = spec_of(result, plan, date=DATE)
        files = deployment_files(spec, "all")
        assert any(name.startswith("compose") for name in files)
        assert spec.parallelism.accelerators * spec.replicas == plan.accelerators
        assert spec.expected.tpot_ms.p50 == pytest.approx(plan.tpot_s.p50 * 1e3, rel=1e-3)


def test_best_plan_is_the_default(result):
    assert spec_of(result, date=DATE) == spec_of(result, result.best, date=DATE)


def run(argv):
    with pytest.raises(SystemExit) as stop:
        main(argv)
    return stop.value.code


def test_commands(tmp_path, capsys):
    study = tmp_path / "study.yaml"
    study.write_text(yaml.safe_dump(STUDY))
    assert run(["report", str(study), "-o", str(tmp_path / "r.md"), "--date", DATE]) == 0
    assert run(["deploy", str(study), "--kind", "all", "-o", str(tmp_path / "launch"), "--date", DATE]) == 0
    assert list((tmp_path / "launch").glob("compose*.yaml"))
    for argv in (
        ["report", str(study), "-o", str(tmp_path / "r.docx")],
        ["report", str(study), "-o", str(tmp_path / "r.md"), "--language", "xx"],
        ["report", str(tmp_path / "none.yaml"), "-o", str(tmp_path / "r.md")],
        ["deploy", str(study), "--kind", "nonsense", "-o", str(tmp_path / "launch")],
        ["deploy", str(study), "--plan", "999", "-o", str(tmp_path / "launch")],
    ):
        capsys.readouterr()
        assert run(argv) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_no_plan_nothing_to_deploy(result):
    import dataclasses

    with pytest.raises(SizingError, match="nothing to deploy"):
        spec_of(dataclasses.replace(result, plans=()), date=DATE)


@pytest.mark.parametrize(
    ("model", "accelerator", "word"),
    [
        ("moonshotai/Kimi-K2.5", "h200-sxm", "gptq"),
        ("nvidia/Qwen3.6-27B-NVFP4", "b200-sxm", "nvfp4"),
        ("nvidia/Qwen3.6-35B-A3B-NVFP4", "h200-sxm", "nvfp4"),
    ],
)
def test_checkpoints_in_formats_of_their_own_have_launch_files(model, accelerator, word):
    study = sizing.quick_study(model, input_tokens=1000, output_tokens=100, rate=1.0, on=[accelerator])
    answer = sizing.plan(study)
    native = next(item for item in answer.plans if item.weights in ("int4", "mixed"))
    spec = spec_of(answer, native, date=DATE)
    assert (spec.model, spec.weights) == (model, word)
    assert model in deployment_files(spec, "command")["serve.sh"]
