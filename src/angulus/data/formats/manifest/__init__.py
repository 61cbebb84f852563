"""A table that lists images wherever they lie."""
