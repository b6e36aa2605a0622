"""MEMORY: what one accelerator holds, line by line, and whether it fits."""
