"""Statistics over seeds, densities and tasks. Nothing here formats text or draws."""
