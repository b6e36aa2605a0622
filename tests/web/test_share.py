"""Links and uploads: what was put in comes out; what is wrong is refused and changes nothing."""

from __future__ import annotations

import base64
import json
import zlib

import pytest

pytest.importorskip("streamlit", reason="the web calculator needs the extra 'web'")

from sizing.base.errors import SizingError
from sizing.planning import planner
from sizing.study import Study, load_study, parse_study, parse_yaml
from sizing.web import share, uploads
from sizing.web.document import json_of, yaml_of
from sizing.web.sharing import python_snippet
from sizing.web.state import check_name, default_study
from sizing.workload import PRESETS

QWEN = {
    "model_type": "qwen3", "hidden_size": 2048, "num_hidden_layers": 20, "num_attention_heads": 16,
    "num_key_value_heads": 4, "head_dim": 128, "intermediate_size": 6144, "vocab_size": 50000,
    "max_position_embeddings": 32768, "tie_word_embeddings": False,
}  # fmt: skip


def studies() -> list[Study]:
    found = [parse_study({"model": "Qwen/Qwen3-32B", "workload": name, "hardware": ["h100-sxm"]}) for name in PRESETS]
    found.append(
        parse_study(
            {
                "model": {"name": "<b>my</b> 模型", "config": QWEN, "context": 20_000},
                "workload": {"preset": "chat", "arrival": {"kind": "users", "users": 500, "think_s": 12.5}},
                "hardware": [{"accelerator": "h100-sxm", "usd_per_hour": 2.5, "max_accelerators": 64}],
                "money": {"mode": "own", "own": {"years": 3}},
                "constraints": {"max_nodes": 2},
            }
        )
    )
    return found


@pytest.mark.parametrize("study", studies(), ids=lambda study: study.workload.name + study.model.name[:5])
def test_link_and_file_bring_back_an_equal_study(study: Study, tmp_path) -> None:
    assert share.decode(share.encode(study)) == study
    assert parse_study(json.loads(json_of(study))) == study
    file = tmp_path / "study.yaml"
    file.write_text(yaml_of(study), encoding="utf-8")
    assert load_study(file) == study
    assert uploads.read_study(file.read_bytes()) == study


def test_link_is_short_and_fit_for_an_address() -> None:
    link = share.encode(default_study())
    assert link.startswith("1.")
    assert len(link) < 800
    assert set(link) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


def packed(data: bytes) -> str:
    return "1." + base64.urlsafe_b64encode(zlib.compress(data)).decode().rstrip("=")


@pytest.mark.parametrize(
    "link",
    [
        "", "1", "1.", "1.!!!", "1.AAAA", "2.AAAA", "nonsense", packed(b"not json"), packed(b"[]"), packed(b"{}"),
        packed(b" " * 5_000_000), packed(b"[" * 100_000), packed(b'{"model": "x", "workload": "chat"}'),
        packed(b'{"model": "x", "workload": "chat", "hardware": ["h100"], "evil": 1}'),
        "1." + "A" * 500_000, share.encode(default_study())[:-20],
    ],
)  # fmt: skip
def test_bad_links_are_refused(link: str) -> None:
    with pytest.raises(SizingError):
        share.decode(link)


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b,*b]\n"


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xff\xfe\x00", b"[]", b"{", BOMB.encode(), b"x" * 2_000_000, b"[" * 5000,
        b"!!python/object/apply:os.system [id]",
        b"model: x\nworkload: chat\nhardware: [h100-sxm]\nunknown: 1\n",
    ],
)  # fmt: skip
def test_bad_studies_are_refused(data: bytes) -> None:
    with pytest.raises(SizingError):
        uploads.read_study(data)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"[]", b"null", b"{", b"{}", b"\xff\xfe", b'{"a":' * 60 + b"1" + b"}" * 60, b"[" * 200_000,
        b'{"model_type": "nobody_knows_this"}', b" " * 5_000_000, b'{"model_type": ["qwen3"]}', b'{"model_type": NaN}',
    ],
)  # fmt: skip
def test_bad_configs_are_refused(data: bytes) -> None:
    with pytest.raises(SizingError):
        uploads.read_config(data, "mine")


@pytest.mark.parametrize("name", ["/etc/passwd", "../secret", "./sizing/model", "C:\\x", "x\0y", "~/x", ""])
def test_names_never_read_files_of_the_server(name: str) -> None:
    with pytest.raises(SizingError):
        check_name(name)


def test_python_snippet_gives_the_same_study() -> None:
    study = studies()[-1].model_copy(update={"title": '"""); raise SystemExit("""'})
    seen: list[Study] = []

    class Nothing:
        label = usd_per_month = None
        best = property(lambda self: self)

    def spy(asked: Study) -> Nothing:
        seen.append(asked)
        return Nothing()

    before = planner.plan
    planner.plan = spy  # type: ignore[assignment]
    try:
        code = python_snippet(study).replace("from sizing import plan", "from sizing.planning.planner import plan")
        exec(compile(code, "snippet", "exec"), {})
    finally:
        planner.plan = before
    assert seen == [study]


def test_yaml_is_plain() -> None:
    assert parse_yaml(yaml_of(default_study()))["workload"]["arrival"]["kind"] == "rate"
