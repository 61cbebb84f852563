"""A folder with one sub-folder for each identity."""
