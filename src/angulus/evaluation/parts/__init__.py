"""One evaluation by independent jobs: each counts the blocks of its part into a file, and the files add up."""
