"""Figures for papers as SVG, PDF and PNG, drawn without a display.

One module per kind of figure, each with a function that returns a figure, or None where there is nothing to
show. :mod:`catalogue` draws those of a report; :mod:`style`, :mod:`text` and :mod:`panels` are shared.

To add a figure, write such a function and add it to the catalogue.
"""
