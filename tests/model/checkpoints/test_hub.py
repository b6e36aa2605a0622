"""The Hub, or what HF_ENDPOINT names instead: a real client against a server on this machine that answers anything."""

from __future__ import annotations

import contextlib
import http.server
import importlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sizing.base.errors import SizingError
from sizing.model.checkpoints import access, hub
from sizing.model.quantization.schemes import QuantScheme
from sizing.model.sources import load_model

pytest.importorskip("huggingface_hub")
CATALOG = Path(__file__).parents[3] / "sizing" / "model" / "catalog"
CONFIG = (CATALOG / "nvidia__Qwen3-32B-NVFP4.json").read_bytes()
QUANT = (CATALOG / "quant" / "nvidia__Qwen3-32B-NVFP4.json").read_bytes()
BODIES = {
    "html": b"<html>not here</html>",
    "list": b"[]",
    "null": b"null",
    "text": b'"x"',
    "types": b'{"model_type": 5}',
    "empty": b"",
    "latin": b'{"a": "\xe9"}',
    "deep": b"[" * 100_000,
}


class Handler(http.server.BaseHTTPRequestHandler):
    """``/KIND/org/name/resolve/main/FILE`` answers as KIND says."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _start(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def do_GET(self) -> None:
        _, kind, *_, name = self.path.split("/")
        seen.append((self.path, self.headers.get("authorization")))
        with contextlib.suppress(OSError):
            if kind == "loop":
                self._start(302, Location=self.path, Content_Length="0")
            elif kind == "huge":
                self._start(200, Content_Length=str(10**11))
                while True:
                    self.wfile.write(b" " * 65_536)
            elif kind == "endless":
                self._start(200, Transfer_Encoding="chunked")
                while True:
                    self.wfile.write(b"10000\r\n" + b" " * 65_536 + b"\r\n")
            elif kind == "slow":
                self._start(200, Content_Length="100000")
                while True:
                    self.wfile.write(b" ")
                    time.sleep(0.05)
            elif kind.isdigit():
                self._start(int(kind), Content_Length="0")
            else:
                body = BODIES.get(kind)
                if body is None:
                    body = {"config.json": CONFIG, "hf_quant_config.json": QUANT if kind == "both" else b""}[name]
                self._start(200 if body or kind == "empty" else 404, Content_Length=str(len(body)))
                self.wfile.write(body)


seen: list[tuple[str, str | None]] = []


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.daemon_threads = True
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{made.server_port}"
    made.shutdown()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    constants = importlib.import_module("huggingface_hub.constants")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    for name in ("WAIT_S", "MOST_S"):  # a busy machine is no slow hub; the test of what drips sets its own bound
        monkeypatch.setattr(hub, name, 900.0)
    seen.clear()


def ask(kind: str, server: str, monkeypatch: pytest.MonkeyPatch, name: str = "someone/some-model") -> str:
    """What the error says."""
    monkeypatch.setenv("HF_ENDPOINT", f"{server}/{kind}")
    with pytest.raises(SizingError) as caught:
        load_model(name)
    return str(caught.value)


def test_visitors_ask_without_the_token(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", f"{server}/plain")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    access.serve_visitors()
    assert any("asked without a token" in note for note in load_model("someone/some-model").notes)
    assert {sent for _, sent in seen} == {None}
    seen.clear()
    monkeypatch.setenv(access.SETTING, "someone")
    access.serve_visitors()
    assert any("this machine's token" in note for note in load_model("someone/some-model").notes)
    assert {sent for _, sent in seen} == {"Bearer hf_secret"}


def test_visitors_ask_without_the_login_of_the_endpoint(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", f"{server.replace('://', '://operator:secret@')}/plain")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    load_model("someone/some-model")
    assert all(sent is not None and sent.startswith("Basic ") for _, sent in seen)
    seen.clear()
    access.serve_visitors()
    load_model("someone/some-model")
    assert {sent for _, sent in seen} == {None}


def test_a_model_by_its_config(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", f"{server}/plain")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert load_model("someone/some-model").total == 32762123264
    assert seen == [
        (f"/plain/someone/some-model/resolve/main/{name}", "Bearer hf_secret")
        for name in ("config.json", "hf_quant_config.json")
    ]


def test_a_quantisation_beside_it_is_honoured(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", f"{server}/both")
    found = load_model("someone/some-model").native_quantization
    assert isinstance(found, QuantScheme) and found.name == "nvfp4"


@pytest.mark.parametrize("kind", BODIES)
def test_what_is_no_config_is_one_line(kind: str, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    said = ask(kind, server, monkeypatch)
    assert "\n" not in said and ("config.json" in said or "model_type" in said)


@pytest.mark.parametrize(
    ("kind", "says"),
    [("404", "no such model"), ("401", "login"), ("403", "allow"), ("500", "500"), ("loop", "Redirects")],
)
def test_what_does_not_come_says_why(kind: str, says: str, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert says in ask(kind, server, monkeypatch)


@pytest.mark.parametrize("kind", ["huge", "endless"])
def test_a_body_without_end_is_cut_off(kind: str, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "larger than 4,194,304 bytes" in ask(kind, server, monkeypatch)


def test_a_body_that_drips_is_left(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "MOST_S", 0.5)
    assert "took more than" in ask("slow", server, monkeypatch)


@pytest.mark.parametrize(
    "name",
    [
        "org/..",
        "../org",
        "org/../x",
        "a/b/c",
        "-org/x",
        ".org/x",
        "org/x--y",
        "org/x y",
        "https://host/x",
        "org/é",
        "org/x%2f..",
    ],
)
def test_what_is_no_id_is_never_asked(name: str, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "unknown model" in ask("plain", server, monkeypatch, name)
    assert seen == []
