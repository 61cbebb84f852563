"""In which order examples are seen, as pure functions of seed and step; reading them belongs to `loading`."""
