"""Analyses: what the measurements of a task, or of several, say. Tables, figures and the page show them."""
