"""The dice: random numbers of failsoft's own, anew in each forked child.

From the generator that everybody shares, an application that seeds it would get
other numbers for our drawing from it, and we the same trace ids again.
"""

from __future__ import annotations

import os
from random import Random

__all__ = ["getrandbits", "random", "seed", "uniform"]

_own = Random()
getrandbits = _own.getrandbits
random = _own.random
seed = _own.seed
uniform = _own.uniform

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=seed)
