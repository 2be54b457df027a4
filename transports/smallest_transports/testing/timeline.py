"""Calls and values in text: a time line that can be read, and Python that makes a value again."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from smallest_proto.reading import Word


def short(value: Any) -> str:
    """A value as Python, without the fields that are as usual. It hides nothing: it is for calls that were made up."""
    if isinstance(value, tuple) and type(value) is tuple:
        return f"({', '.join(map(short, value))}{',' * (len(value) == 1)})"
    fields = [
        short(given) if usual is dataclasses.MISSING else f"{name}={short(given)}"
        for name, given, usual in _fields(value)
        if given != usual
    ]
    if not dataclasses.is_dataclass(value) and not isinstance(value, msgspec.Struct):
        return repr(value)
    return f"{type(value).__name__}({', '.join(fields)})"


def _fields(value: Any) -> Iterator[tuple[str, Any, Any]]:
    """The name of each field, what is in it, and what is in it as a rule."""
    if isinstance(value, msgspec.Struct):
        for field in msgspec.structs.fields(value):
            usual = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
            yield field.name, getattr(value, field.name), usual
    elif dataclasses.is_dataclass(value):
        for one in dataclasses.fields(value):
            yield one.name, getattr(value, one.name), one.default


def timeline(words: Iterable[Word], story: Iterable[tuple[float, str]], events: Iterable[tuple[float, object]]) -> str:
    """Three columns: the time in seconds, what was done (said, asked, broken), what the application was told."""
    lines = [
        *((word.start or 0.0, 0, f'"{word.text}"', "") for word in words),
        *((time, 1, what, "") for time, what in story),
        *((time, 2, "", _told(event)) for time, event in events),
    ]
    lines.sort(key=lambda line: line[:2])
    head = f"{'s':>8}  {'done':<20}  told"
    return "\n".join([head, *(f"{time:8.3f}  {done:<20}  {told}".rstrip() for time, _, done, told in lines)])


def _told(event: object) -> str:
    name = type(event).__name__
    text = getattr(event, "text", None)
    if text is not None:
        return f"{name} {text!r}"
    told = {
        field: value
        for field, value, usual in _fields(event)
        if value != usual and field in ("link", "time", "start", "end", "reason", "failure", "retry_in", "seconds")
    }
    shown = " ".join(f"{field}={_plain(value)}" for field, value in told.items())
    return f"{name} {shown}".rstrip()


def _plain(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return str(getattr(value, "value", None) or getattr(value, "reason", None) or value)
