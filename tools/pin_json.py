"""Write the JSON of every pinned case into a folder, for comparing two revisions byte by byte.

``python tools/pin_json.py before``, change the code, ``python tools/pin_json.py after``, ``diff -r before after``.
``--tree DIR`` asks the ``sizing`` of another checkout with the cases of this one, so a revision older than a case, or
than this tool, can be asked as well.
"""

from __future__ import annotations

import argparse
import json
import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """Exit with 2 where the folder has files already: what is left of another run would look like a difference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to write; new or empty")
    parser.add_argument("--tree", type=Path, default=ROOT, help="checkout whose sizing is asked (this one)")
    asked = parser.parse_args()
    if asked.folder.exists() and any(asked.folder.iterdir()):
        print(f"{asked.folder} is not empty", file=sys.stderr)
        return 2
    sys.path.insert(0, str(asked.tree.resolve()))
    import sizing

    if Path(sizing.__file__).parents[1] != asked.tree.resolve():
        print(f"{asked.tree} has no sizing of its own", file=sys.stderr)
        return 2
    count = 0
    for name, document in runpy.run_path(str(ROOT / "tests" / "pinned.py"))["all_documents"]():
        file = asked.folder / f"{name}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as stream:
            stream.write(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
        count += 1
    print(f"{count} documents in {asked.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
