"""One module a page; each has ``show(context)``."""
