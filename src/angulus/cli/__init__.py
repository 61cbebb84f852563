"""The command line: `angulus train`, `embed`, `evaluate`, `plan`, `study`, `config`.

Nothing heavy is imported here or at the top of a command's file, so that `--help` answers at once.
"""

from angulus.cli.application import main

__all__ = ["main"]
