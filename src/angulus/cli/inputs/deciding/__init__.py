"""What the commands that decide are given: bundles, galleries, photos of people, tables of pairs."""
