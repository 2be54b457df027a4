"""The options that a client asks for, read as leniently as the service reads them.

Unknown parameters of a transcription, and impossible values, are ignored and noted, not refused: the service accepts
``numerals=auto`` and ``punctuation=false``. A model, an encoding or a sample rate that does not exist is refused. The
fields of a synthesis are checked, and the refusal names the field; the service does the same.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal, TypeVar, get_args, get_origin

import msgspec

from smallest_proto.config import SPEECH_MODELS, FileTranscriptionConfig, SynthesisConfig, TranscriptionConfig
from smallest_proto.errors import ConfigurationError

Config = TypeVar("Config", TranscriptionConfig, FileTranscriptionConfig)

DEFAULT_SAMPLE_RATE = 44100  # Hz: the service's own default
CLONED_VOICE = "voice_"  # ids of cloned voices begin with this; they are in no list

# For live audio: read with the wrong one it is noise, and the service refuses it with 400.
_REFUSED = ("encoding", "sample_rate")
_ELSEWHERE = ("model", "vad", "timeout")  # parameters that are read with the route
_NO_PARAMETER = frozenset(("extra", "expire_content"))  # fields of a configuration that are not in the query
_OF_OLDER_MODELS = ("consistency", "similarity", "enhancement")
# A context_id says that a socket speaks continuations.
_SPEECH_FIELDS = tuple(
    name for name in SynthesisConfig.__struct_fields__ if name not in {"continuations", *_NO_PARAMETER}
)


class FieldError(ConfigurationError):
    """A wrong field of a request. ``code`` and ``path`` are what the service's refusal says about it."""

    def __init__(self, message: str, path: str, code: str) -> None:
        super().__init__(message)
        self.path = path
        self.code = code


def read_transcription(config: type[Config], query: Mapping[str, str], **fixed: Any) -> tuple[Config, tuple[str, ...]]:
    """The options of a query, and notes about those that were ignored.

    ``fixed`` is what the route sets; the query wins, except for the model. Raises ``ConfigurationError`` for a model,
    and for a format of live audio, that does not exist.
    """
    fields = msgspec.structs.fields(config)
    kinds = {field.name: field.type for field in fields if field.name not in _NO_PARAMETER}
    options: dict[str, Any] = {"model": fixed["model"]}
    config(**options)
    notes = {name: "the service has no such option, as far as is known here" for name in query if name not in kinds}
    values: dict[str, Any] = {}
    for name in query.keys() & kinds:
        try:
            values[name] = _value(name, query[name], kinds[name])
        except ConfigurationError as error:
            notes[name] = str(error)
    live = config is TranscriptionConfig
    if live and (wrong := next((name for name in _REFUSED if name in notes), None)):
        raise ConfigurationError(notes[wrong])
    try:
        return config(**{**fixed, **values, "model": fixed["model"]}), _notes_of(notes)
    except ConfigurationError:
        pass  # one of them is wrong: find out which
    # Options that belong together are tried together; one that needs another is tried after it.
    groups: list[tuple[str, ...]] = [_REFUSED, *((name,) for name in sorted(values) if name not in _REFUSED)]
    for group in (*groups, *groups[1:]):
        given = {name: values[name] for name in group if name in values}
        try:
            config(**options, **{name: value for name, value in given.items() if name not in options})
        except ConfigurationError as error:
            if live and group is _REFUSED:
                raise
            notes.update(dict.fromkeys(given, str(error)))
        else:
            options.update(given)
    return config(**{**fixed, **options}), _notes_of({name: notes[name] for name in notes if name not in options})


def _notes_of(notes: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(f"{name[:40]} is passed over: {notes[name]}" for name in notes if name not in _ELSEWHERE)


def read_synthesis_fields(
    fields: Mapping[str, Any], *, model: str | None = None, voices: Collection[str] | None = None
) -> SynthesisConfig:
    """The options of a synthesis, from the fields of its JSON. Unknown fields are ignored, as the service does.

    ``model`` is the model of the path, if it names one; ``voices`` are the voices that exist besides cloned ones,
    ``None``: any. Raises ``FieldError`` for what the service does not have.
    """
    given = {name: fields[name] for name in _SPEECH_FIELDS if fields.get(name) is not None}
    given["model"] = given.get("model", SPEECH_MODELS[0]) if model is None else model
    if "voice_id" not in given:
        raise FieldError(
            "voice_id is missing: name the voice that is to speak, such as sophia", "voice_id", "invalid_type"
        )
    given.setdefault("sample_rate", DEFAULT_SAMPLE_RATE)
    if isinstance(given["model"], str) and given["model"].replace("-", "_") in SPEECH_MODELS:
        for name in _OF_OLDER_MODELS:  # clients of these models send them anyway
            given.pop(name, None)
    options = _speech_options(given)
    if model is None and options.current_model is None:
        message = f"model must be one of {', '.join(SPEECH_MODELS)} here: older ones have their own path"
        raise FieldError(message, "model", "invalid_enum_value")
    voice = options.voice
    if voices is not None and voice not in voices and not voice.startswith(CLONED_VOICE):
        message = f"there is no voice {voice!r}: take one of GET /voice/get-all-models, or a cloned one (voice_...)"
        raise FieldError(message, "voice_id", "invalid_voice_id")
    return options


def read_flag(name: str, text: str) -> bool:
    """``true`` or ``false``, in any case. Raises ``ConfigurationError``."""
    value = _value(name, text, bool)
    assert isinstance(value, bool)
    return value


def _speech_options(given: Mapping[str, Any]) -> SynthesisConfig:
    try:
        return SynthesisConfig(**given)
    except ConfigurationError as error:
        for name in given:  # the one that is wrong by itself
            try:
                SynthesisConfig(
                    **{"model": given["model"], name: given[name]} if name != "model" else {name: given[name]}
                )
            except ConfigurationError as culprit:
                raise FieldError(str(culprit), name, _code(given[name], str(culprit))) from None
        raise FieldError(str(error), "", "custom") from None


def _code(value: object, text: str) -> str:
    """The name of such an error in the service's validation."""
    if "one of" in text:
        return "invalid_enum_value"
    if isinstance(value, (int, float)) and not isinstance(value, bool) and "number" in text:
        return "too_small" if value < 1 else "too_big"
    return "invalid_type" if not isinstance(value, str) else "invalid_string"


def _value(name: str, text: str, kind: Any) -> Any:
    """The value of a query's text for a field of this type. A field that is text is checked by the configuration."""
    if name == "keywords":
        return tuple(map(_keyword, text.split(",")))
    kinds = {get_origin(one) or one for one in get_args(kind) or (kind,)}
    wanted = ""
    for one, what in ((bool, "true or false"), (int, "a whole number"), (float, "a number")):
        if one in kinds:
            wanted = what
            try:
                return msgspec.convert(text.lower(), one, strict=False)
            except msgspec.ValidationError:
                pass
    if tuple in kinds:
        return tuple(text.split(","))
    if wanted and not kinds & {str, Literal}:
        raise ConfigurationError(f"{name} must be {wanted}, not {text[:40]!r}")
    return text


def _keyword(entry: str) -> str | tuple[str, float]:
    word, colon, boost = entry.rpartition(":")
    if not colon:
        return entry
    try:
        return word, float(boost)
    except ValueError:
        raise ConfigurationError("keywords must be like Blackwell:1,Jensen Huang:2") from None
