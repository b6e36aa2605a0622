"""No test asks a model hub: names that are in no catalog are refused at once. No property test is judged by the clock."""

from __future__ import annotations

import os

from hypothesis import settings

os.environ["HF_HUB_OFFLINE"] = "1"

# Machines that run the tests are shared: an example that waits for a core is no failure.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
