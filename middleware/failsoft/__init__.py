"""failsoft."""

__version__ = "0.1.0"
