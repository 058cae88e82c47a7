"""What the wrapped application is: its routes, its root path, who opens spans in it.

Found through layers of middleware by public attributes; nothing of it is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from failsoft.routes.discover import find_routes

__all__ = [
    "compressing_inside",
    "count_routes",
    "framework_of",
    "opens_inside",
    "root_path_of",
]


def root_path_of(app: Any) -> str:
    """Return the root path that the framework sets on the scope by itself."""
    inner = framework_of(app)
    root = getattr(inner, "root_path", "")
    return root if isinstance(root, str) else ""


def framework_of(app: Any) -> Any:
    """Return the framework's application inside wrapping middleware, else None."""
    return next((x for x in _layers(app) if hasattr(x, "user_middleware")), None)


def count_routes(app: Any) -> int:
    """Return how many routes are registered at the top; a change calls for a look."""
    routes = find_routes(app)
    return len(routes) if routes is not None else 0


def opens_inside(app: Any) -> Callable[[], bool]:
    """Say how to ask whether the application opens a server span inside us."""
    inner, names = framework_of(app), _names_inside(app)
    instrumented = getattr(inner, "_is_instrumented_by_opentelemetry", False)
    if instrumented or "OpenTelemetryMiddleware" in names:
        return lambda: True
    # FastAPI 0.142 and newer decide per request, by the configured providers.
    native = getattr(inner, "_native_telemetry", None)
    enabled = getattr(native, "enabled", None)
    return enabled if callable(enabled) else (lambda: False)


def compressing_inside(app: Any) -> list[str]:
    """Return the names of middleware that compresses answers before we see them."""
    words = ("gzip", "brotli", "zstd", "compress")
    return [n for n in _names_inside(app) if any(w in n.lower() for w in words)]


def _names_inside(app: Any) -> list[str]:
    inner = framework_of(app)
    classes = [m.cls for m in inner.user_middleware] if inner is not None else []
    classes += [type(layer) for layer in _layers(app)]
    return list(dict.fromkeys(getattr(cls, "__name__", "") for cls in classes))


def _layers(app: Any) -> Iterator[Any]:
    for _ in range(100):
        if app is None:
            return
        yield app
        app = getattr(app, "app", None)
