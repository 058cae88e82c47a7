"""The flag verbs of the command line alone: what needs files, an editor, or a page.

Verbs that the terminal UI's `:` line has too stand in `verbs`.  Pure.
"""

from __future__ import annotations

from failsoft.ops.verbs import Verb, Word

__all__ = ["FLAG_VERBS"]

_KEY = Word("key", "flag key")
_FORCE = Word("--force", "write although no release declares the flag", "switch", False)
_REBUCKET = Word("--rebucket", "write although it moves users", "switch", False)
_IF_REV = Word("--if-rev", "only if the edit has this revision", "count", False)
_FORMAT = Word("format", "flagd")

_READS: tuple[Verb, ...] = (
    Verb("flags show", "one flag: layers, rules, document", (_KEY,)),
    Verb(
        "flags explain",
        "which layer and rule decide, with the bucket",
        (
            _KEY,
            Word("--context", "K=V, repeatable; user.tier=gold nests", "pairs", False),
            Word("--id", "targeting key of the user", required=False),
        ),
    ),
    Verb("flags history", "who changed a flag, when, why, and what", (_KEY,)),
    Verb(
        "flags diff",
        "the edit against what lies below, or two revisions",
        (
            _KEY,
            Word("old", "a revision of the log", "count", False),
            Word("new", "another one (now)", "count", False),
            Word("--file", "against the flag in this flags file", required=False),
        ),
    ),
    Verb(
        "flags lint",
        "what is wrong with flags, in the store or in a file",
        (Word("file", "flagd file (the store)", required=False),),
    ),
    Verb("flags stale", "expired, one variant for 30 d, not evaluated for 14 d"),
    Verb(
        "flags export",
        "flags as a flagd file",
        (
            _FORMAT,
            Word("--effective", "edits over files and defaults", "switch", False),
            Word("--edits", "what the store holds, unless said", "switch", False),
            Word("--lossy", "leave out what flagd cannot say", "switch", False),
            Word("--out", "file to write (stdout)", required=False),
        ),
    ),
    Verb(
        "flags bucket",
        "hash and bucket of one user",
        (_KEY, Word("id", "targeting key")),
    ),
)

_WRITES: tuple[Verb, ...] = (
    Verb(
        "flags create",
        "a new flag in the store",
        (
            _KEY,
            Word("--variants", "JSON object (on true, off false)", required=False),
            Word("--default", "variant to serve (the last one)", required=False),
            Word("--owner", "who answers for it", required=False),
            Word("--expires", "date it should be gone by", required=False),
            Word("--kind", "release experiment ops permission", required=False),
            Word("--desc", "what it is for", required=False),
        ),
        "operator",
    ),
    Verb(
        "flags rule",
        "add, rm or move a rule: rule add KEY 'if country in [DE] then on'",
        (
            Word("action", "add, rm or move"),
            _KEY,
            Word("rule", "the rule's text (add), its number from 1 (rm, move)"),
            Word("to", "number it gets", "count", False),
            _FORCE,
            _REBUCKET,
            _IF_REV,
        ),
        "operator",
    ),
    Verb(
        "flags edit",
        "edit the document in $EDITOR",
        (
            _KEY,
            Word(
                "--from", "take the document from this file (- is stdin)", "text", False
            ),
            _FORCE,
            _REBUCKET,
            _IF_REV,
        ),
        "operator",
    ),
    Verb(
        "flags import",
        "flags of a flagd file, all or nothing",
        (
            _FORMAT,
            Word("file", "the file"),
            Word("--hash", "2 or 3, of rollouts that say none", "count", False),
            Word("--merge", "leave other flags alone, unless said", "switch", False),
            Word("--replace", "drop edits that the file has not", "switch", False),
            Word("--skip-invalid", "import the others", "switch", False),
            _REBUCKET,
        ),
        "operator",
    ),
    Verb(
        "flags promote",
        "write the edit into a flags file, for a commit",
        (
            _KEY,
            Word("--file", "the flags file", required=False),
            Word("--force", "although the file moved on", "switch", False),
        ),
        "operator",
    ),
)

FLAG_VERBS: tuple[Verb, ...] = (*_READS, *_WRITES)
