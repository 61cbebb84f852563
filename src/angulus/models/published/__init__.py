"""Networks that others published with weights, under the names of those; what Angulus trains from scratch is above."""
