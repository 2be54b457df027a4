"""The voices that the service has: an HTTP exchange, and what its answer says.

Facts of the wire: the vendor's OpenAPI file of the voice catalogue (August 2026). Any field can be missing or odd.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from smallest_proto.config import Endpoint, RetryPolicy, SynthesisConfig, Timeouts
from smallest_proto.errors import ConfigurationError, Failure
from smallest_proto.reading import read_each, read_json_object, read_text
from smallest_proto.refusals import no_answer, tells_error
from smallest_proto.requests import voices_request
from smallest_proto.retry import no_jitter
from smallest_proto.values import Value

from .bodies import Headers, WholeBody
from .exchange import HttpExchange


class Voice(Value, frozen=True, kw_only=True):
    """One voice. What the service does not say is ``None`` or empty."""

    id: str  # a configuration's voice_id
    name: str  # to show; the id where there is none
    languages: tuple[str, ...] = ()  # as the service calls them: english, hindi
    gender: str | None = None
    accent: str | None = None
    age: str | None = None
    emotions: tuple[str, ...] = ()
    use_cases: tuple[str, ...] = ()
    models: tuple[str, ...] = ()  # the models that have it; empty where the whole catalogue does not say
    description: str | None = None
    preview_url: str | None = None  # a short recording


class Voices(Value, frozen=True, kw_only=True):
    """The voices of one model, or of the whole catalogue."""

    voices: tuple[Voice, ...]


class VoiceList(HttpExchange[Voices]):
    """Asks for the voices of one model (in any spelling), or for the whole catalogue.

    Raises ``ConfigurationError`` for what is no model, and for a server reached directly, which has no voices.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        model: str | None = None,
        *,
        timeouts: Timeouts = Timeouts(),  # noqa: B008 - frozen
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
        jitter: Callable[[], float] = no_jitter,
    ) -> None:
        super().__init__(
            voices_request(endpoint, model),
            lambda: WholeBody(partial(read_voices, model=model)),
            timeouts=timeouts,
            retry=retry,
            jitter=jitter,
        )


def read_voices(status: int, headers: Headers, body: bytes, *, model: str | None = None) -> Voices | Failure:
    """Read the answer about voices. Never raises: it keeps what can be understood of each voice."""
    answer = read_json_object(body)
    if isinstance(answer, str):
        return no_answer(status, headers, body, f"its body is {'empty' if not body.strip() else answer}")
    voices = read_each(answer.get("voices"), partial(_read_voice, model=model))
    if voices is None or (not voices and tells_error(answer)):
        return no_answer(status, headers, body, "there are no voices in it")
    return Voices(voices=voices)


def check_voice(config: SynthesisConfig, voices: Iterable[Voice]) -> None:
    """Raises ``ConfigurationError`` for a voice that is not among those that the service lists for its model.

    The service does not refuse such a pair: it may speak with another voice, or speak nonsense. Clones of the user's
    own (``voice_…``) are in no list and pass.
    """
    known = sorted(voice.id for voice in voices)
    if config.voice not in known and not config.voice.startswith("voice_"):
        raise ConfigurationError(f"{config.model} has no voice {config.voice!r}: use one of {', '.join(known)}")


def _read_voice(read: Any, *, model: str | None) -> Voice | None:
    if not isinstance(read, dict) or not (name := read_text(read.get("voiceId"))):
        return None
    tags = read.get("tags")
    tags = tags if isinstance(tags, dict) else {}
    return Voice(
        id=name,
        name=read_text(read.get("displayName")) or name,
        languages=_texts(tags.get("language")),
        gender=read_text(tags.get("gender")),
        accent=read_text(tags.get("accent")),
        age=read_text(tags.get("age")),
        emotions=_texts(tags.get("emotions")),
        use_cases=_texts(tags.get("usecases")),
        models=_texts(read.get("modelIds")) or ((model,) if model is not None else ()),
        description=read_text(read.get("description")),
        preview_url=read_text(read.get("audioPreview")),
    )


def _texts(read: Any) -> tuple[str, ...]:
    """The texts of a list, or a single text."""
    return read_each(read if isinstance(read, list) else [read], read_text) or ()
