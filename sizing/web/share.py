"""A Study as a short text for the address bar: a version, a dot, base64url of the deflated JSON."""

from __future__ import annotations

import base64
import binascii
import json
import zlib

from sizing.base.errors import SizingError
from sizing.study import Study, parse_study
from sizing.web.document import json_of, once

LINK_VERSION = "1"
MAX_LINK = 400_000  # characters; browsers and proxies end long before
LONG = 100_000  # bytes; beyond, packing takes longer than it saves
MAX_PLAIN = 1_000_000  # bytes after inflating


@once
def encode(study: Study) -> str:
    """``1.<data>``: everything that the answer depends on, defaults left out."""
    plain = json_of(study).encode()
    packed = zlib.compress(plain, 9 if len(plain) < LONG else 6)
    return f"{LINK_VERSION}." + base64.urlsafe_b64encode(packed).decode().rstrip("=")


def decode(text: str) -> Study:
    """The Study of a link. Raises SizingError for anything that is not one, however large it would inflate."""
    version, dot, data = text.partition(".")
    if not dot or len(text) > MAX_LINK:
        raise SizingError("is not a share link", key="s")
    if version != LINK_VERSION:
        raise SizingError(f"is of version {version[:10]!r}; this calculator reads {LINK_VERSION}", key="s")
    try:
        packed = base64.b64decode(data + "=" * (-len(data) % 4), altchars=b"-_", validate=True)
        inflater = zlib.decompressobj()
        plain = inflater.decompress(packed, MAX_PLAIN)
        if inflater.unconsumed_tail or not inflater.eof:
            raise SizingError("is cut off or too large", key="s")
        content = json.loads(plain)
    except (binascii.Error, zlib.error, ValueError, RecursionError) as error:
        if isinstance(error, SizingError):
            raise
        raise SizingError("is damaged", key="s", hint="copy the whole link") from None
    return parse_study(content, "s")
