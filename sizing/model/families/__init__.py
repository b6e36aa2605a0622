"""Families of models: each builder reads the keys of its dialect and returns a Body."""
