"""Switchers: networks that read a task network's weights and switch its connections.

``reading`` shows a layer's weights to a reader (``equivariant``, ``row``, ``unet``), which answers with
logits; ``gates`` turns logits into switches; ``turns`` says which network learns when; ``switcher`` is the
method, and ``presets`` names the papers' settings and the controls.
"""
