"""Who is compared with whom, and how alike they are; what rates follow from that belongs to `rates`."""
