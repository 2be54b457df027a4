"""The base of every value of the library: frozen, keyword-only, silent about secrets.

Values are msgspec structs, not dataclasses: a struct is built in about a tenth of the time, and a live call builds some
thousand of them each minute. What a value holds of the user's (the key, what was said, the audio) never shows in its
``repr``; read the field to see it, or call ``reveal``.
"""

from __future__ import annotations

import enum
from typing import Any, ClassVar, Protocol, SupportsIndex, TypeVar

import msgspec

Item = TypeVar("Item", contravariant=True)


class Secret(str):
    """Text that goes over the wire and is never shown: it is a ``str`` whose ``repr`` says nothing."""

    __slots__ = ()

    def __getitem__(self, key: SupportsIndex | slice) -> Secret:
        # Printers of locals (rich, typer) cut long text before they show it.
        return Secret(super().__getitem__(key))

    def __repr__(self) -> str:
        return "'***'"


def hide(value: Any) -> Any:
    """A key, or headers with a key in one of them, so that no ``repr`` shows it, not even that of a local variable.

    What is neither stays as it is, for the check that follows; bytes, which are no key, leave nothing behind.
    """
    if isinstance(value, str):
        return Secret(value)
    if isinstance(value, (tuple, list)):
        return tuple(_hide_pair(pair) for pair in value)
    if isinstance(value, dict):  # headers as others take them, or the proxies of an environment
        return {name: hide(item) for name, item in value.items()}
    return Secret() if isinstance(value, (bytes, bytearray, memoryview)) else value


def _hide_pair(pair: Any) -> Any:
    return (pair[0], *map(hide, pair[1:])) if isinstance(pair, (tuple, list)) and pair else hide(pair)


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """A frozen value with keyword-only fields; ``repr`` shows only the size of a private field."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset()

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        values = [(name, getattr(self, name)) for name in self.__struct_fields__]
        return [(n, _Hidden(v) if n in self.PRIVATE else v) for n, v in values if v is not None]

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({fields})"


class Extra(dict[str, str]):
    """Pairs of texts that cannot change, so that the value that holds them can be hashed."""

    __slots__ = ()

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[type[Extra], tuple[dict[str, str]]]:
        return Extra, (dict(self),)

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise TypeError("a configuration does not change: make another one with msgspec.structs.replace")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse


def reveal(value: object) -> str:
    """A value's ``repr`` with what was said in it, for a console or a test: ``print(reveal(event))``.

    What it hides is shown, texts and words and the service's own words of an error, in the values within it too; audio
    stays a number of bytes, and a key is never shown.
    """
    if isinstance(value, Value):
        fields = ((name, getattr(value, name)) for name in value.__struct_fields__)
        shown = ", ".join(f"{name}={reveal(field)}" for name, field in fields if field is not None)
        return f"{type(value).__name__}({shown})"
    if type(value) is tuple:
        return f"({', '.join(map(reveal, value))}{',' * (len(value) == 1)})"
    return f"<{len(value)} bytes>" if isinstance(value, bytes) else repr(value)


class Name(enum.Enum):
    """A set of names. They are the keys of every table here, so they hash as what they are: one object each."""

    __hash__ = object.__hash__  # Enum's own hashes a string, in Python: most of what a look-up would cost


class Sink(Protocol[Item]):
    """The end of a queue of outputs that takes some of their kinds."""

    def append(self, item: Item, /) -> object: ...


class _Hidden:
    """Stands in a ``repr`` where a private field is: its size alone."""

    def __init__(self, value: Any) -> None:
        self._shown = f"<{len(value)} hidden>" if hasattr(value, "__len__") else "<hidden>"

    def __repr__(self) -> str:
        return self._shown
