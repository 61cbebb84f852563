"""What there is to compute on, and what a device must be told so that nothing waits; nothing of what is computed."""
