"""What an inverted image gives away: judges, acceptance, defences and the page; making images belongs to `attack`."""
