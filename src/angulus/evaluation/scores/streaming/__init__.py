"""All pairs of a labelled set in one pass, on a CPU or a device: exact counts by steps, and the scores in windows."""
