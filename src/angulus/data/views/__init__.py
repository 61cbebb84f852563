"""Which examples of a source are used and under which name; their order belongs to `order`."""
