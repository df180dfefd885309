"""Switchers: networks that read a task network's weights and switch its connections.

Readers turn weights into scores or gates (``unet``, ``equivariant``), ``gates`` turns scores
into switches, and ``paper`` and ``budgeted`` put them together as methods.
"""
