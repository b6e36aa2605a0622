"""Encoders of pictures and sound beside a language model, and their projectors."""
