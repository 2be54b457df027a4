"""Speech at the service's door: what is asked for. The paths are read in ``admission.py``.

A synthesis over HTTP says what it wants in its body, a socket in each of its messages; the fields are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from .config import SPEECH_MODELS, SynthesisConfig, check_text
from .errors import ConfigurationError
from .reading import read_json_object
from .values import Value

DEFAULT_SAMPLE_RATE = 44100  # Hz: the service's own default

# A context_id says that a socket speaks continuations.
_FIELDS = tuple(name for name in SynthesisConfig.__struct_fields__ if name != "continuations")
_OF_OLDER_MODELS = ("consistency", "similarity", "enhancement")


class SpeechRequest(Value, frozen=True, kw_only=True):
    """A synthesis over HTTP that may begin: read the body, then give it to ``read_speech``."""

    sse: bool = False  # as server-sent events
    model: str | None = None  # of the model route; None: the body names it


class SpeechSocketRequest(Value, frozen=True, kw_only=True):
    """A synthesis's WebSocket that may open: accept it and make a ``SpeechService``."""

    timeout: float | None = None  # seconds without a message from the client after which it is closed


class VoicesRequest(Value, frozen=True, kw_only=True):
    """The list of voices: answer with ``voices_answer``."""

    model: str | None = None  # None: of all models


class SpeechOrder(Value, frozen=True, kw_only=True):
    """What is to be spoken, and how."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"text"})

    text: str
    options: SynthesisConfig


def read_speech(request: SpeechRequest, body: bytes) -> SpeechOrder:
    """Read what a synthesis over HTTP asks for. Raises ``ConfigurationError`` for what cannot be had."""
    fields = read_json_object(body)
    if isinstance(fields, str):
        raise ConfigurationError(f"the body must be a JSON object, and it is {fields}")
    options = read_speech_options(fields, model=request.model)
    text = fields.get("text")
    if not isinstance(text, str):
        raise ConfigurationError("text is missing: send the text to be spoken as a string")
    check_text(text)
    return SpeechOrder(text=text, options=options)


def read_speech_options(fields: Mapping[str, Any], *, model: str | None = None) -> SynthesisConfig:
    """The options of a synthesis from the fields of its JSON. What is not known is passed over, as the service does.

    ``model`` is that of the path, if it names one. Raises ``ConfigurationError`` for what the service does not have.
    """
    given = {name: fields[name] for name in _FIELDS if fields.get(name) is not None}
    given["model"] = given.get("model", SPEECH_MODELS[0]) if model is None else model
    if "voice_id" not in given:
        raise ConfigurationError("voice_id is missing: name the voice that is to speak, such as sophia")
    given.setdefault("sample_rate", DEFAULT_SAMPLE_RATE)
    if isinstance(given["model"], str) and given["model"].replace("-", "_") in SPEECH_MODELS:
        for name in _OF_OLDER_MODELS:  # clients of these models send them all the same
            given.pop(name, None)
    options = SynthesisConfig(**given)
    if model is None and options.current_model is None:
        raise ConfigurationError(
            f"model must be one of {', '.join(SPEECH_MODELS)} here: older ones have their own path"
        )
    return options
