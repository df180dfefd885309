"""Tables and pictures of a search."""
