"""One file for each command: words in, calls of the library, lines out; what commands share lies beside, in `cli`."""
