"""Feature flags: what value a key has for a user, by controls and declarations."""

from failsoft.flags._changes import changed_flags
from failsoft.flags._evaluate import FlagDetails, evaluate
from failsoft.flags._hash import bucket_hash
from failsoft.flags._state import FlagState, aged, check_flags, compile_flags

__all__ = [
    "FlagDetails",
    "FlagState",
    "aged",
    "bucket_hash",
    "changed_flags",
    "check_flags",
    "compile_flags",
    "evaluate",
]
