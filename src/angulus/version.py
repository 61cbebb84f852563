"""The version of Angulus, apart from the front door so that any file may ask for it."""

__version__ = "0.1.0"
