"""The commands: each takes its arguments, calls the engine, and prints."""
