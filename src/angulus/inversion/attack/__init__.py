"""From a model back to images of people; how much they give away is judged in `assessment`."""
