"""The same sums in Triton kernels; what they compute is said by `strategies`."""
