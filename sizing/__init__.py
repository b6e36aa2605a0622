"""Size accelerators for large language models: does it fit, how fast, how many, at what cost, how sure."""

__version__ = "0.1.0"
