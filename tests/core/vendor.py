"""The vendor's own AsyncAPI and OpenAPI files, where they lie beside this project: they are read, never copied.

Without them the tests that need them are skipped; the field lists written by hand in ``test_vendor_schema.py`` remain.
"""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import strategies as st

SPEC = Path(__file__).resolve().parents[3] / "shared" / "spec"
NEEDED = pytest.mark.skipif(not SPEC.is_dir(), reason="the vendor's API files are not beside this project")


@lru_cache
def spec(name: str) -> dict[str, Any]:
    """A whole file, by its name without ``.yaml``."""
    read: dict[str, Any] = yaml.safe_load((SPEC / f"{name}.yaml").read_text(encoding="utf-8"))
    return read


def at(name: str, *path: str | int) -> dict[str, Any]:
    """A schema of a file, as plain JSON Schema: references are in their place, ``nullable`` is a type."""
    found: Any = spec(name)
    for step in path:
        found = found[step]
    plain: dict[str, Any] = _plain(found, spec(name))
    return plain


def _plain(found: Any, file: dict[str, Any]) -> Any:
    if isinstance(found, list):
        return [_plain(one, file) for one in found]
    if not isinstance(found, dict):
        return found
    if isinstance(reference := found.get("$ref"), str):
        target: Any = file
        for step in reference.removeprefix("#/").split("/"):
            target = target[step.replace("~1", "/")]
        return _plain(target, file)
    made = {key: _plain(value, file) for key, value in found.items() if key not in ("example", "examples", "format")}
    if made.pop("nullable", False):
        made["type"] = [made["type"], "null"]
    return made


def generated(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """What a plain schema allows, with fields that it does not name where it does not forbid them.

    Of JSON Schema as much as the vendor's files use. (The package that knows all of it does not run with the Hypothesis
    of today.)
    """
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kind = schema.get("type")
    if isinstance(kind, list):
        return st.one_of(*(generated({**schema, "type": one}) for one in kind))
    least, most = schema.get("minimum"), schema.get("maximum")
    if kind == "string":
        if "pattern" in schema:
            return st.from_regex(schema["pattern"], fullmatch=True).filter(lambda text: len(text) <= 128)
        return st.text(max_size=min(20, schema.get("maxLength", 20)))
    if kind == "boolean":
        return st.booleans()
    if kind == "integer":
        return st.integers(-(2**53) if least is None else least, 2**53 if most is None else most)
    if kind == "number":
        return st.floats(least, most, allow_nan=False, allow_infinity=False) | st.integers(
            0 if least is None else math.ceil(least), 1 if most is None else math.floor(most)
        )
    if kind == "null":
        return st.none()
    if kind == "array":
        return st.lists(generated(schema.get("items", {})), max_size=4)
    if kind == "object":
        return _objects(schema)
    return _anything


_anything: st.SearchStrategy[Any] = st.none() | st.booleans() | st.integers(0, 9) | st.text(max_size=5)


def _objects(schema: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    fields = {name: generated(one) for name, one in schema.get("properties", {}).items()}
    needed = schema.get("required", ())
    known = st.fixed_dictionaries(
        {name: fields[name] for name in needed}, optional={n: one for n, one in fields.items() if n not in needed}
    )
    more = schema.get("additionalProperties", True)
    if more is False:
        return known
    values = generated(more) if isinstance(more, dict) else _anything
    names = st.sampled_from(("news", "colour", "x-1"))
    return st.builds(lambda known, more: {**more, **known}, known, st.dictionaries(names, values, max_size=2))
