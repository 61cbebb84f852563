"""What the steps of speaker verification mean on the command line: other sets, trial lists, models."""
