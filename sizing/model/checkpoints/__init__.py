"""Readers of what a model's name opens: safetensors and GGUF files, small files from the Hub."""
