"""One file or sub-folder for each layout on disk, reader and writer side by side, and the conversion between them."""
