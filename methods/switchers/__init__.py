"""Switchers: networks that read a task network's weights and switch its connections.

Readers turn weights into logits (``equivariant``, ``row``, ``unet``), ``gates`` turns logits into
switches, ``switcher`` is the method that lets both networks learn in turn, and ``presets`` names
the papers' settings and the controls.
"""
