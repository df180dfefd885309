"""Shipped specs, by name: `switchbench run NAME`."""
