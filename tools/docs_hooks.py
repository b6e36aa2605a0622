"""MkDocs hook: the generated pages join the others when the site is built."""

from __future__ import annotations

import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tools.docs_pages import GENERATED


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add every generated page."""
    for name, make in GENERATED.items():
        files.append(File.generated(config, name, content=make()))
    return files
