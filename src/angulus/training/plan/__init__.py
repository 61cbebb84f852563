"""What a run would take of memory and time, and which strategy fits; nothing is trained here."""
