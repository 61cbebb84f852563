"""The mathematics of the sum over classes in plain torch; Triton belongs to `kernels`, processes to `sharding`."""
