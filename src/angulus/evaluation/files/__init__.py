"""Published files of protocols (pairs, trials, templates, `.bin`) read and written; no figure is computed here."""
