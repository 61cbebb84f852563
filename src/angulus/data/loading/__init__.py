"""From the rows of a batch to pixels: decoding, workers, batches, random changes; file layouts belong to `formats`."""
