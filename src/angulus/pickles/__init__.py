"""Pickles of strangers: a machine that calls nothing, and files of PyTorch's tensors that are looked over with it."""
