"""Figures of each group of people or trials, for a breakdown."""
