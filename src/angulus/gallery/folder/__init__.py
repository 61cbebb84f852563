"""A gallery in a folder: SQLite holds the people, a matrix of their templates beside it is searched."""
