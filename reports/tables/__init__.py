"""Tables: what a report shows, as numbers and text, in no particular format."""
