"""STEP: the operations of one pass, the time of each, and their sum under an engine's overheads."""
