"""Angulus: open-set recognition with margin-softmax losses."""

__version__ = "0.1.0"
