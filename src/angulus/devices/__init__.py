"""What a device must be told so that no step waits for it; nothing that knows what is computed."""
