"""Galleries that a server holds, or the trial of one within this process: PostgreSQL with pgvector, and Qdrant."""
