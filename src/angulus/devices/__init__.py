"""What there is to compute on, and what it must be told so that nothing waits; nothing that knows what is computed."""
