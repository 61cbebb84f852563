"""Millions of examples by number and by name in little memory; no image is read here."""
