"""What a model's name may open: the server's files, and the Hub with the operator's token.

A command line or a script serves its own user, and may open both. A page serves visitors: it closes the process once, for
every thread and every caller, and only a setting of the operator's opens a part of it again.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

#: Names the organisations, parted by commas, whose models visitors of a page may ask for with the operator's Hub token.
SETTING = "SIZING_HUB_ORGANISATIONS"


@dataclass(frozen=True, slots=True)
class Access:
    """paths: whether a name may be a path. organisations: those whose Hub models are asked for with the operator's token
    (lower case); None: all."""

    paths: bool = True
    organisations: frozenset[str] | None = None

    def sends_token(self, name: str) -> bool:
        """Whether the Hub is asked with the operator's token for ``org/name``."""
        return self.organisations is None or name.partition("/")[0].lower() in self.organisations


OWN_USER = Access()
_current = OWN_USER


def current() -> Access:
    """What this process may open."""
    return _current


def serve_visitors() -> None:
    """From now on this process answers visitors: no name is a path, and the token goes out by ``SETTING`` alone."""
    named = os.environ.get(SETTING, "").split(",")
    set_access(Access(paths=False, organisations=frozenset(n.strip().lower() for n in named if n.strip())))


def set_access(access: Access) -> None:
    """Set what this process may open."""
    global _current
    _current = access
