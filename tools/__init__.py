"""Programs that work on this checkout; nothing of it is installed."""
