"""Formats: how tables and whole reports are written. They know nothing of what tables show."""
