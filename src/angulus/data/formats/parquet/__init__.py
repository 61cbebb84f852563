"""Parquet files with image bytes, as Hugging Face stores them."""
