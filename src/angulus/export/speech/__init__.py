"""Speech in a file for deployment: the filter bank in operations that exporters know, and the network behind it."""
