"""Whatever comes from the page opens no file of the server's, and no operator's token: every door."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sizing.base.errors import SizingError
from sizing.claims import Claim, examine
from sizing.model.checkpoints import access, hub
from sizing.model.sources import catalog_models, load_model
from sizing.planning.planner import study_model
from sizing.study import quick_study
from sizing.web import state

CATALOG = Path(__file__).parents[2] / "sizing" / "model" / "catalog"
NAME = "Qwen/Qwen3-8B"


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder of the server's that ends in a catalog name; its config has one layer. Relative to the working folder."""
    folder = tmp_path / "secret" / "Qwen3-8B"
    folder.mkdir(parents=True)
    entry = next(item for item in catalog_models() if item.name == NAME)
    config = json.loads((CATALOG / entry.file).read_text()) | {"num_hidden_layers": 1}
    (folder / "config.json").write_text(json.dumps(config))
    monkeypatch.chdir(tmp_path)
    assert load_model("secret/Qwen3-8B").total < published() / 4  # a user of one's own may
    access.serve_visitors()
    return "secret/Qwen3-8B"


def published() -> int:
    return load_model(NAME).total


def test_the_argument_of_the_loader(planted: str) -> None:
    assert load_model(planted, allow_paths=False).total == load_model(planted).total == published()
    assert load_model(planted, allow_paths=True).total < published() / 4
    for name in (
        str(Path(planted).absolute()),
        f"./{planted}",
        f"{planted}/config.json",
        f"../{Path.cwd().name}/{planted}",
    ):
        try:
            assert load_model(name, allow_hub=False).total == published()
        except SizingError as error:
            assert "no such file" not in str(error) and "path" not in str(error)


def test_a_study(planted: str) -> None:
    study = quick_study(planted, input_tokens=100, output_tokens=10, rate=1.0, on=["h100-sxm"])
    assert study_model(study).total == published()


def test_a_claim(planted: str) -> None:
    shown = examine(Claim(model=planted, total=8.2e9))
    assert f"{published():,}" in str(shown.findings)


def test_a_name_in_the_field(planted: str) -> None:
    state.check_name(planted)  # a catalog name at its end
    with pytest.raises(SizingError):
        state.check_name(f"{Path.cwd()}/secret")


@pytest.mark.parametrize("page", ["plan", "memory", "compare"])
def test_a_link(planted: str, page: str, open_app: Callable[..., Any]) -> None:
    study = quick_study(planted, input_tokens=100, output_tokens=10, rate=1.0, on=["h100-sxm"])
    app = open_app(page, study=study)
    assert not app.exception
    shown = " ".join(str(item.value) for kind in (app.markdown, app.caption, app.metric) for item in kind)
    assert "0.4" not in shown.split()
    assert access.current().paths is False


def test_two_quick_messages(planted: str, open_app: Callable[..., Any]) -> None:
    app = open_app("plan")
    app.session_state["model"] = planted  # what a second message may leave before the first one is checked
    app.session_state["config"] = None
    app.run()
    assert not app.exception
    with pytest.raises(SizingError):
        load_model(str(Path(planted).parent), allow_hub=False)


def test_visitors_do_not_borrow_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    assert access.current().sends_token("acme/model")  # a user of one's own
    access.serve_visitors()
    assert not access.current().sends_token("acme/model")
    monkeypatch.setenv(access.SETTING, "Acme, other")
    access.serve_visitors()
    assert access.current().sends_token("acme/model") and not access.current().sends_token("acmeless/model")


def test_the_answer_says_how_the_hub_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("huggingface_hub")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert "token" in hub.how_asked("acme/model") and "without" not in hub.how_asked("acme/model")
    access.serve_visitors()
    assert "without a token" in hub.how_asked("acme/model")
