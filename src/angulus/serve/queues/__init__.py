"""Work in bounded queues: what does not fit is refused at once, and never piles up."""
