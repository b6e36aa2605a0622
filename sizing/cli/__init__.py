"""The command line: ``sizing COMMAND``. Each command prints a table, or with ``--json`` one JSON document."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

import sizing
from sizing.base.errors import SizingError, one_line
from sizing.cli import catalog, claim, compare, estimate, evidence, memory, plan, prices, replay, report, web
from sizing.cli.output import message

app = typer.Typer(
    name="sizing",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # the default takes the units in "[s]" for a style and drops them
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        print(f"sizing {sizing.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Size accelerators for large language models: does it fit, how fast, how many, at what cost, how sure."""


for part in (catalog, memory, estimate, plan, claim, compare, evidence, replay, prices, report, web):
    part.register(app)

USAGE_ERROR = 2
INTERRUPTED = 130
# Newer versions of typer carry click inside, older ones import it: either way this is the base of usage errors.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]


#: Flags of before and what they are called now; the old ones work for one minor version more.
OLD_FLAGS = {
    "--prefix-hit": "--prefix-cache-hit-rate",
    "--draft-tokens": "--speculative-tokens",
    "--acceptance": "--acceptance-length",
}


def _note_old_flags(argv: Sequence[str]) -> None:
    """A note on stderr for each old flag; JSON on stdout stays alone."""
    for old in dict.fromkeys(item.split("=", 1)[0] for item in argv):
        if old in OLD_FLAGS:
            message(f"note: {old} is now called {OLD_FLAGS[old]}; the old name works until 0.3")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line. Bad input ends with one line on stderr and exit code 2; no traceback reaches a user.

    ``SIZING_DEBUG=1`` in the environment shows tracebacks all the same.
    """
    debug = os.environ.get("SIZING_DEBUG") == "1"
    _open_streams()
    try:
        code = app(args=list(argv) if argv is not None else None, standalone_mode=False)
        _note_old_flags(sys.argv[1:] if argv is None else argv)
    except SizingError as error:
        if debug:
            raise
        _fail(str(error), USAGE_ERROR)
    except _UsageError as error:
        if not str(error):  # no arguments: the help is on stdout already
            sys.exit(USAGE_ERROR)
        _fail(_usage_message(error), USAGE_ERROR)
    except typer.Exit as error:
        sys.exit(error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        _fail("stopped", INTERRUPTED)
    except BrokenPipeError:
        _leave_pipe()
    except OSError as error:
        if debug:
            raise
        name = f"{error.filename}: " if error.filename else ""
        _fail(f"{name}{error.strerror or error}", USAGE_ERROR)
    except Exception as error:
        if debug:
            raise
        kind = type(error).__name__
        _fail(f"internal error, {kind}: {error} (please report it; SIZING_DEBUG=1 shows where)", 1)
    else:
        if code == INTERRUPTED:  # some versions of typer take Ctrl-C themselves
            _fail("stopped", INTERRUPTED)
        _flush()
        sys.exit(code if isinstance(code, int) else 0)


def _open_streams() -> None:
    """Closed streams become the null device; what a stream's encoding can't hold (locale C) is escaped, not an error."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 (for the process's whole life)
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _flush() -> None:
    """Meet a full disk or a closed pipe here, where it is a line, and not in the interpreter's end."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _leave_pipe()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _fail(f"stdout: {error.strerror or error}", USAGE_ERROR)


def _leave_pipe() -> NoReturn:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(1)


def _usage_message(error: Any) -> str:
    message = error.format_message()
    context = error.ctx.command_path if error.ctx is not None else "sizing"
    return f"{message} (see '{context} --help')"


def _fail(message: str, code: int) -> NoReturn:
    print(f"sizing: {one_line(message, 1400)}", file=sys.stderr)
    sys.exit(code)
