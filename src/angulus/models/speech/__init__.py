"""Networks that turn speech into embeddings."""
