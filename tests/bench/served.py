"""The bare and the guarded application for the server benchmark.

BENCH_STACK=starlette|fastapi-get|fastapi-post  BENCH_GUARD=1  uvicorn served:app
BENCH_OTEL=1 configures the OpenTelemetry SDK with 1 % head sampling.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.stacks import build, sampled_provider
from failsoft import Failsoft

if os.environ.get("BENCH_OTEL"):
    from opentelemetry import trace

    trace.set_tracer_provider(sampled_provider(0.01))

app = build(os.environ["BENCH_STACK"])
if os.environ.get("BENCH_GUARD"):
    app.add_middleware(Failsoft)
