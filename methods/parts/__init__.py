"""Parts that methods are made of: pure functions and small modules that know no method.

``scores`` say what a connection is worth, ``distributions`` how many connections each layer keeps,
``masks`` keep the best ones, ``pruning_schedules`` say when and down to which density. ``gates``,
``concrete`` and ``noise`` make learned and sampled switches. ``neurons`` prunes whole units,
``layers`` knows shapes of weights, ``state`` turns a method's state into plain data.
"""
