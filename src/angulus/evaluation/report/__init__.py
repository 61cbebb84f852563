"""Results as pages, plots, tables and JSON read back; nothing is measured here."""
