"""Long uploads through a real server: watched as they pass, never kept whole."""

from __future__ import annotations

from pathlib import Path

from bench.upload import MIB, memory_mib, serving, upload_to

SIZE_BYTES = 10 * MIB


def test_a_long_upload_streams_through_and_is_never_kept_whole(
    tmp_path: Path,
) -> None:
    with serving("observed", tmp_path) as (port, pid):
        upload_to(port, 1000, "2026-01-01")
        before_mib = memory_mib(pid, "VmRSS")

        status, answer = upload_to(port, SIZE_BYTES, "2026-01-01")

        grown_mib = memory_mib(pid, "VmHWM") - before_mib
    assert (status, answer) == (200, {"size": SIZE_BYTES})
    assert grown_mib < 32
