"""The page: the whole report in one HTML file that needs no network."""
