"""Between which values a rate lies, and what may be concluded or deployed; the rates themselves belong to `rates`."""
