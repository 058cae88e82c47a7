"""Feature flags: what value a key has for a user, by controls and declarations."""

from failsoft.flags._evaluate import FlagDetails, FlagState, compile_flags, evaluate
from failsoft.flags._hash import bucket_hash

__all__ = ["FlagDetails", "FlagState", "bucket_hash", "compile_flags", "evaluate"]
