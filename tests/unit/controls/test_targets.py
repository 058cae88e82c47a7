"""What globs cover, whatever the names."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from failsoft.controls.targets import covers

GLOBS = st.text("ab.*?", max_size=8)


@given(GLOBS, st.text("ab.", max_size=9))
def test_a_glob_means_any_run_and_any_character(glob: str, name: str) -> None:
    plain = "".join(
        {"*": ".*", "?": "."}.get(c, re.escape(c))
        for c in glob  # slow, but clear
    )

    assert covers(glob, name) == (re.fullmatch(plain, name) is not None)


def test_no_name_that_a_client_makes_up_takes_long() -> None:
    assert not covers("*a" * 30 + "*b", "a" * 64)
