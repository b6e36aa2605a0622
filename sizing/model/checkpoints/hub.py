"""A model's small JSON files from the Hugging Face Hub, or from a mirror: bounded in size and in time.

The Hub's own client would take any number of bytes for as long as they come; HF_ENDPOINT may name anything.
"""

from __future__ import annotations

import logging
import os
import re
import time
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from sizing.base.errors import ConfigError, UnknownNameError
from sizing.model.checkpoints import access
from sizing.model.config import MAX_FILE_BYTES, parse_json

WAIT_S = 5.0  # for an answer, and between its parts
MOST_S = 20.0  # for a whole file
_NAME = re.compile(r"[A-Za-z0-9_][\w.-]{0,95}/[A-Za-z0-9_][\w.-]{0,95}", re.ASCII)


def is_id(name: str) -> bool:
    """Whether a name can be one of the Hub: ``org/name``, no path and no address."""
    return _NAME.fullmatch(name) is not None and ".." not in name and "--" not in name


def how_asked(name: str) -> str:
    """Whether the Hub was asked for ``org/name`` with a token, in words."""
    if _token(name):
        return "the model's config comes from the Hub, asked with this machine's token"
    return "the model's config comes from the Hub, asked without a token"


def _token(name: str) -> str | None:
    """The client's token, where it may go out for ``org/name`` and there is one."""
    from huggingface_hub import get_token

    return get_token() if access.current().sends_token(name) else None


def _endpoint(name: str) -> str | None:
    """HF_ENDPOINT; a login written into it is the operator's, and goes out where the token may."""
    given = os.environ.get("HF_ENDPOINT") or None
    if given is None or access.current().sends_token(name):
        return given
    parts = urlsplit(given)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on")


def fetch_json(name: str, what: str, near: str | None = None, *, needed: bool = True) -> dict[str, object] | None:
    """The JSON object in the file ``what`` of the repository ``name``; None where it is not there and not ``needed``.

    Needs the extra ``hub``; honours HF_ENDPOINT, HF_HUB_OFFLINE and, where ``access`` lets them go out, the client's token
    and a login in HF_ENDPOINT. ``near``: a hint on names of the catalog for the error. Raises UnknownNameError for what does
    not come, ConfigError for what is no such file.
    """
    beside = f"; {near}" if near else ""
    try:
        from huggingface_hub import get_session, hf_hub_url
    except ImportError:
        raise UnknownNameError(
            f"{name!r} is not in the catalog, and asking the Hub needs the extra 'hub'{beside}",
            key="model",
            hint="pip install 'llm-sizing[hub]', or give the path of a config.json",
        ) from None
    if _offline():
        raise UnknownNameError(f"{name!r} is not in the catalog and HF_HUB_OFFLINE is set{beside}", key="model")
    logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)  # its retries; our own line says what failed
    raw: bytes | int | str
    try:
        url = hf_hub_url(name, what, endpoint=_endpoint(name))
        token = _token(name)
        headers = {"user-agent": "llm-sizing", **({"authorization": f"Bearer {token}"} if token else {})}
        raw = _get(get_session(), url, headers)
    except ConfigError:
        raise
    except Exception as error:  # the client raises families of its own, which differ by its version
        raw = type(error).__name__
    if isinstance(raw, int) and raw == 404 and not needed:
        return None
    if not isinstance(raw, bytes):
        said: dict[object, str] = {404: "has no such model", 401: "wants a login for it", 403: "does not allow it"}
        why = said.get(raw, f"did not give it ({raw})")
        raise UnknownNameError(
            f"{name!r} is not in the catalog and the Hub {why}{beside}",
            key="model",
            hint="or give the path of a config.json",
        )
    source = f"{name}/{what}"
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError("is not UTF-8 text", key=source) from None
    return parse_json(text, source)


def _get(session: Any, url: str, headers: dict[str, str]) -> bytes | int | str:
    """The body at ``url``, or the status that came instead; TimeoutError when it takes too long."""
    until = time.monotonic() + MOST_S
    with session.stream("GET", url, headers=headers, timeout=WAIT_S) as response:
        if response.status_code != 200:
            return int(response.status_code)
        body = bytearray()
        for part in response.iter_bytes():
            body += part
            if len(body) > MAX_FILE_BYTES:
                raise ConfigError(f"larger than {MAX_FILE_BYTES:,} bytes, the most that is read", key=url)
            if time.monotonic() > until:
                return f"it took more than {MOST_S:g} s"
    return bytes(body)
