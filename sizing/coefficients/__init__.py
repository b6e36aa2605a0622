"""Fitted numbers and their typed readers: each file says what it was fitted on. Fits are in evidence."""
