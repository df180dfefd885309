"""The lock on what torch keeps for the whole process: one thread may use it at a time.

Random numbers, the number of threads and the cache of parametrized weights belong to the process. Without the
lock, a thread that an interrupted run has left behind, which still estimates costs, could change those of a
trial that trains meanwhile.
"""

from threading import RLock

TORCH_STATE = RLock()
"""Held by a trial, and by everything else that sets random numbers or threads, or takes training steps."""
