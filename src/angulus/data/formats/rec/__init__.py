"""insightface's RecordIO: the container, its heads, reader and writer."""
