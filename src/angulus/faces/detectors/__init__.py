"""Where the faces are on a photo, one file for each detector; cutting them out belongs to `faces` itself."""
