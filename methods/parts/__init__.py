"""Parts that methods are made of: pure functions and small modules that know no method.

``scores`` say what a connection is worth, from weights, from ``curvature``, ``mean_gradient`` or ``paths``;
``surgeon`` also corrects the weights that stay. ``distributions`` say how many connections each layer keeps,
``masks`` keep the best ones, ``patterns`` keep them in groups, ``pruning_schedules`` say when and down to
which density. ``gates``, ``concrete`` and ``noise`` make learned and sampled switches. ``neurons`` prunes
whole units, ``layers`` knows shapes of weights, ``state`` turns a method's state into plain data, ``devices``
spares waiting for a GPU.
"""
