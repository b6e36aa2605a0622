"""``python -m sizing`` and ``sizing`` are the command line."""

import sys


def run() -> None:
    """Run the command line; Ctrl-C while it still loads is as quiet as later."""
    try:
        from sizing.cli import main
    except KeyboardInterrupt:
        print("sizing: stopped", file=sys.stderr)
        sys.exit(130)
    main()


if __name__ == "__main__":
    run()
