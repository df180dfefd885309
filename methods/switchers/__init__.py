"""Switchers: networks that read a task network's weights and switch its connections.

``reading`` shows weights to a reader, which answers with logits: those of one layer (``equivariant``,
``row``, ``unet``), or of all (``saliency``; ``functional`` and ``graph``, which follow a ``chain`` of
layers). ``gates`` turns logits into switches; ``turns`` says which network learns when; ``ahead`` is another
gradient for the reader; ``switcher`` is the method, and ``presets`` names the papers' settings and the
controls.
"""
