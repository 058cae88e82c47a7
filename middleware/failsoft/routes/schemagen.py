"""JSON Schema from pydantic, with marks where the application's own code decides.

Loaded only for applications that have pydantic.  Public hooks of
`GenerateJsonSchema` only: the same on pydantic 2.7 and 2.14.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import AliasChoices, AliasPath, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

__all__ = ["OPAQUE", "ShapeSchema", "generate"]

OPAQUE = "x-failsoft-opaque"
ALIASES = "x-failsoft-aliases"

_REF_TEMPLATE = "#/components/schemas/{model}"
Wanted = Sequence[tuple[str, Any]]


class ShapeSchema(GenerateJsonSchema):
    """Generates what FastAPI would, and never fails: what it cannot say is opaque."""

    def function_before_schema(self, schema: Any) -> dict[str, Any]:
        """Mark what the application's code sees first."""
        return {**super().function_before_schema(schema), OPAQUE: True}

    def function_wrap_schema(self, schema: Any) -> dict[str, Any]:
        """Mark what the application's code may accept by itself."""
        return {**super().function_wrap_schema(schema), OPAQUE: True}

    def function_plain_schema(self, schema: Any) -> dict[str, Any]:
        """Mark what only the application's code knows."""
        return {**super().function_plain_schema(schema), OPAQUE: True}

    def handle_invalid_for_json_schema(
        self, schema: Any, error_info: str
    ) -> dict[str, Any]:
        """Leave open what has no JSON Schema, instead of raising."""
        return {OPAQUE: True}

    def emit_warning(self, kind: Any, detail: str) -> None:
        """Stay silent: nobody asked for a schema."""

    def model_schema(self, schema: Any) -> dict[str, Any]:
        """Add the other names under which a model takes its fields."""
        cls = schema["cls"]
        return _with_aliases(
            super().model_schema(schema), cls.model_fields, cls.model_config
        )

    def dataclass_schema(self, schema: Any) -> dict[str, Any]:
        """Add the other names under which a dataclass takes its fields."""
        cls = schema["cls"]
        return _with_aliases(
            super().dataclass_schema(schema),
            getattr(cls, "__pydantic_fields__", {}),
            getattr(cls, "__pydantic_config__", {}),
        )


def _with_aliases(
    made: dict[str, Any], fields: Mapping[str, Any], config: Any
) -> dict[str, Any]:
    shown = made.get("properties")
    if not isinstance(shown, dict):
        return made
    by_name = config.get("populate_by_name") or config.get("validate_by_name")
    found: dict[str, list[str]] = {}
    for name, info in fields.items():
        names = list(_aliases(info)) or [name]
        if None in names:  # a path into the value: another shape altogether
            return {**made, OPAQUE: True}
        names += [name] if by_name else []
        key = next((each for each in names if each in shown), None)
        others = [each for each in dict.fromkeys(names) if each != key]
        if key is not None and others:
            found[key] = [str(each) for each in others if each not in shown]
    return {**made, ALIASES: found} if found else made


def _aliases(info: Any) -> Iterator[str | None]:
    """Yield the names a field is read from, None for a path of several steps."""
    alias = info.validation_alias or info.alias
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
    for choice in choices:
        if isinstance(choice, AliasPath):
            is_name = len(choice.path) == 1 and isinstance(choice.path[0], str)
            yield str(choice.path[0]) if is_name else None
        elif choice is not None:
            yield choice


def generate(
    wanted: Wanted, *, by_alias: bool = True
) -> tuple[list[dict[str, Any] | None], dict[str, Any], list[str]]:
    """Return (schemas in the order of wanted, components, faults in words).

    wanted: (mode, FastAPI's model field).  by_alias: fields go by their aliases, not
    by their names.  A field that pydantic cannot describe has None for a schema and a
    fault.
    """
    adapters, faults = [], []
    for at, (mode, field) in enumerate(wanted):
        try:
            adapters.append((at, mode, _core_schema(field.field_info)))
        except Exception as error:  # noqa: BLE001 - any type, by anybody's hooks
            faults.append(f"{field.name}: {type(error).__name__}: {error}")
    made, components, more = _generated(adapters, by_alias)
    return [made.get(at) for at in range(len(wanted))], components, faults + more


def _core_schema(info: Any) -> Any:
    with warnings.catch_warnings():
        # An alias on the parameter itself says nothing about the body.
        warnings.simplefilter("ignore")
        return TypeAdapter(Annotated[info.annotation, info]).core_schema


def _generated(
    inputs: list[tuple[int, Any, Any]], by_alias: bool
) -> tuple[dict[int, dict[str, Any]], dict[str, Any], list[str]]:
    """Generate all at once, as names depend on the others; drop what fails."""
    faults: list[str] = []
    while inputs:
        try:
            made, components = _once(inputs, by_alias)
        except Exception as error:  # noqa: BLE001 - any type, by anybody's hooks
            failing = [each for each in inputs if _fails(each)] or inputs
            faults.append(f"{len(failing)} models: {type(error).__name__}: {error}")
            inputs = [each for each in inputs if each not in failing]
        else:
            return {at: schema for (at, _), schema in made.items()}, components, faults
    return {}, {}, faults


def _once(inputs: list[tuple[int, Any, Any]], by_alias: bool = True) -> tuple[Any, Any]:
    made = ShapeSchema(by_alias=by_alias, ref_template=_REF_TEMPLATE)
    return made.generate_definitions(inputs)


def _fails(each: tuple[int, Any, Any]) -> bool:
    try:
        _once([each])
    except Exception:  # noqa: BLE001 - told once, by the caller
        return True
    return False
