"""The web calculator. It asks the API for every figure and computes none."""
