"""Figures of scores and of ranks, as pure functions; between which values they lie belongs to `uncertainty`."""
