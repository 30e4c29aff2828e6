"""Writes `docs/reference/`: what the code says about job files, settings, commands, the warehouse and errors."""
