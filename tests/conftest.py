"""No test asks a model hub: names that are in no catalog are refused at once."""

from __future__ import annotations

import os

os.environ["HF_HUB_OFFLINE"] = "1"
