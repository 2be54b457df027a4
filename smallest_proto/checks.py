"""How configurations are checked: each check says what is wrong with an option and what would be right."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import TypeGuard
from urllib.parse import urlsplit

from .errors import ConfigurationError
from .values import Extra, Value

_ID = re.compile(r"[A-Za-z0-9_.-]{1,128}")


def check_one_of(name: str, value: object, allowed: Iterable[str | int], unit: str = "") -> None:
    """Raises ``ConfigurationError`` unless ``value`` is one of ``allowed``, and of the same type."""
    if not any(isinstance(value, type(one)) and value == one for one in allowed):
        raise ConfigurationError(f"{name} must be one of {', '.join(map(str, allowed))}{unit}, not {value!r}")


def check_whole(name: str, value: object, lowest: int, highest: int | None, unit: str) -> None:
    """Raises ``ConfigurationError`` unless ``value`` is ``None`` or a whole number within the bounds."""
    if value is None:
        return
    bounds = f"from {lowest} to {highest}" if highest is not None else f"of at least {lowest}"
    if (
        not isinstance(value, int)
        or isinstance(value, bool)
        or value < lowest
        or (highest is not None and value > highest)
    ):
        raise ConfigurationError(f"{name} must be a whole number {bounds} ({unit}), not {value!r}")


def check_number(name: str, value: object, lowest: float, highest: float, unit: str) -> None:
    """Raises ``ConfigurationError`` unless ``value`` is ``None`` or a number within the bounds."""
    if value is not None and not (is_number(value) and lowest <= value <= highest):
        raise ConfigurationError(f"{name} must be a number from {lowest:g} to {highest:g} ({unit}), not {value!r}")


def check_seconds(name: str, value: object, *, least: float | None = None) -> None:
    """Raises ``ConfigurationError`` unless ``value`` is a number of seconds of at least ``least``, or above 0."""
    if not is_number(value) or value < (least or 0.0) or (value == 0 and least is None):
        bound = "above 0" if least is None else f"of at least {least:g}"
        raise ConfigurationError(f"{name} must be a number of seconds {bound}, not {value!r}")


def check_id(name: str, value: object) -> None:
    """Raises ``ConfigurationError`` unless ``value`` is ``None`` or shaped like the service's ids."""
    if value is not None and not (isinstance(value, str) and _ID.fullmatch(value)):
        raise ConfigurationError(f"{name} must be 1 to 128 of the characters A-Z, a-z, 0-9, '_', '.' and '-'")


def check_web_url(name: str, url: object) -> None:
    """Raises ``ConfigurationError`` unless ``url`` is one that the service could call or fetch from."""
    try:
        parts = urlsplit(url) if is_encodable(url) else None
    except ValueError:
        parts = None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(f"{name} must be an absolute http or https URL")


def check_redaction(name: str, value: object) -> None:
    """Raises ``ConfigurationError`` unless ``value`` is ``None``, on, off, or the kinds of what is to be masked."""
    if value is None or isinstance(value, bool):
        return
    kinds = value if isinstance(value, tuple) else ()
    if not kinds or not all(is_encodable(kind) and kind.strip() and "," not in kind for kind in kinds):
        raise ConfigurationError(f"{name} must be True, False, None, or a tuple of kinds such as ('name', 'phone')")


def checked_extra(extra: object, taken: frozenset[str] = frozenset()) -> Extra:
    """The pairs that go out as they are. Raises ``ConfigurationError`` for what is not text, or is ``taken``."""
    if not isinstance(extra, Mapping):
        raise ConfigurationError("extra must be a mapping of texts, such as {'name': 'value'}")
    for name, value in extra.items():
        if not is_encodable(name) or not name or not is_encodable(value):
            raise ConfigurationError("extra must be a mapping of texts: write True as 'true', and 5 as '5'")
        if name in taken:
            raise ConfigurationError(f"{name} does not go into extra: set the option of that name, or leave it out")
    return Extra(extra)


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether ``value`` is a finite number that fits into a float."""
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


def is_encodable(text: object) -> TypeGuard[str]:
    """Whether it is text without lone surrogates, which no URL can carry."""
    return isinstance(text, str) and not re.search("[\ud800-\udfff]", text)


def whole_text(text: str) -> str:
    """The text as UTF-8 can carry it: halves of a surrogate pair are joined, one that stands alone is U+FFFD."""
    return text if is_encodable(text) else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def check_booleans(config: Value) -> None:
    """Raises ``ConfigurationError`` for a yes-or-no option that is not ``True``, ``False`` or ``None``."""
    for name in _BOOLEANS.intersection(config.__struct_fields__):
        value = getattr(config, name)
        if value is not None and not isinstance(value, bool):
            raise ConfigurationError(f"{name} must be True, False or None, not {value!r}")


# fmt: off
_BOOLEANS = frozenset((
    "word_timestamps", "sentence_timestamps", "diarize", "vad_events", "endpointing", "format", "punctuate",
    "capitalize", "itn_normalize", "finalize_on_words", "full_transcript", "content_filter", "no_format_delay",
    "emotion_detection", "gender_detection", "math_notation", "continuations", "expire_content",
))
# fmt: on
