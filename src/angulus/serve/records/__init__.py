"""What the service writes down: keys, decisions, the operator's choices, and crops where that was asked for."""
