"""What to install for a detector that is not here."""

INSTALL = 'pip install "angulus[detect]"'
INSTALL_TORCH = 'pip install "angulus[torch]"'
