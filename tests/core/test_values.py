"""Values are frozen, compare by what they hold, and show nothing of the user's."""

from __future__ import annotations

import copy
import importlib
import pickle
import pkgutil
import pprint
import reprlib
from typing import Any, ClassVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.pretty import pretty_repr
from rich.traceback import Traceback

import smallest_proto
from smallest_proto import commands, config, errors, requests
from smallest_proto.audio import Chunk
from smallest_proto.errors import ConfigurationError
from smallest_proto.events import EndReason, SessionEnded
from smallest_proto.http import exchange, files
from smallest_proto.reading import ErrorMessage, Utterance, Word
from smallest_proto.transcription import events, messages
from smallest_proto.values import Secret, Value, reveal

KEY = "k3y" * 40  # longer than what printers show whole
SAID = "Wilhelmina"

ENDPOINT = config.Endpoint(api_key=KEY, headers=(("X-Proxy-Key", KEY),))
LIVE = requests.live_transcription_request(config.TranscriptionConfig(keywords=((SAID, 2.0),)), ENDPOINT)
FILE = requests.file_transcription_request(config.FileTranscriptionConfig(), ENDPOINT, audio=SAID.encode())
HOOK = config.FileTranscriptionConfig(model="pulse-pro", webhook_url=f"https://h/{SAID}", webhook_extra=SAID)
WORD = Word(text=SAID, start=0.0, end=1.0)
UTTERANCE = Utterance(text=SAID)
FAILURE = errors.Failure(kind=errors.FailureKind.SERVICE, reason="the service told of an error", detail=SAID)

VALUES: list[Value] = [
    ENDPOINT,
    LIVE,
    FILE,
    HOOK,
    config.TranscriptionConfig(keywords=(SAID,)),
    requests.file_transcription_request(HOOK, ENDPOINT, audio=b"x"),
    requests.file_transcription_request(config.FileTranscriptionConfig(), ENDPOINT, audio_url=f"http://h/{SAID}"),
    Chunk(0, 1, SAID.encode()),
    WORD,
    UTTERANCE,
    messages.Transcription(
        text=SAID, words=(WORD,), utterances=(UTTERANCE,), full_transcript=SAID, redacted_entities=(SAID,)
    ),
    ErrorMessage(text=SAID),
    messages.decode(f'{{"transcript":"{SAID}"'),
    messages.decode(f'{{"type":"{SAID}"}}'),
    commands.OpenLink(link=1, request=LIVE),
    commands.SendText(link=1, text=SAID),
    commands.SendBinary(link=1, data=SAID.encode()),
    commands.SendRequest(request=FILE),
    events.InterimTranscript(text=SAID, start=0.0, end=1.0, session_id=None),
    events.FinalTranscript(
        text=SAID, start=0.0, end=1.0, words=(WORD,), utterances=(UTTERANCE,), full_transcript=SAID,
        redacted_entities=(SAID,),
    ),
    SessionEnded(reason=EndReason.FAILED, failure=FAILURE),
    FAILURE,
    exchange.ExchangeFailed(failure=FAILURE),
    files.FileTranscript(text=SAID, words=(WORD,), utterances=(UTTERANCE,), gender=SAID, emotions=((SAID, 1.0),)),
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_no_way_of_printing_shows_a_secret(value: Value) -> None:
    shown = [
        repr(value),
        str(value),
        f"{value!r:>2000}",
        f"{(value,)}",
        reprlib.repr(value),
        pprint.pformat({"value": value}),
        pretty_repr(value),
        pretty_repr(value, max_string=5),
        pretty_repr([value], max_string=80, expand_all=True),
        repr(msgspec.structs.replace(value)),
        repr(copy.deepcopy(value)),
        repr(pickle.loads(pickle.dumps(value))),
    ]
    for text in shown:
        assert SAID not in text
        assert "k3y" not in text
        assert type(value).__name__[:8] in text  # reprlib cuts the rest


def test_a_traceback_with_locals_shows_no_key() -> None:
    def fail() -> None:
        headers, key = LIVE.headers, ENDPOINT.api_key
        raise ValueError(len(headers) + len(key))

    with pytest.raises(ValueError, match="1") as caught:
        fail()
    console = Console(width=200)
    with console.capture() as capture:
        console.print(Traceback.from_exception(ValueError, caught.value, caught.tb, show_locals=True))
    assert "Authorization" in capture.get()  # the locals are there
    assert "k3y" not in capture.get()


@pytest.mark.parametrize(
    "mistake",
    [{"base_url": "ftp://h"}, {"route": "x"}, {"source": ""}, {"headers": 5}, {"api_key": KEY + "\n"}],
    ids=str,
)
def test_a_traceback_of_a_configuration_error_shows_no_key(mistake: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        config.Endpoint(**{"api_key": KEY, **mistake})
    assert caught.value.__traceback__ is not None
    inside = caught.value.__traceback__.tb_next  # this test's own frame knows the key
    console = Console(width=200)
    with console.capture() as capture:
        console.print(Traceback.from_exception(type(caught.value), caught.value, inside, show_locals=True))
    assert "self" in capture.get()
    assert "k3y" not in capture.get()


@given(st.text(), st.integers(-5, 5), st.integers(-5, 5))
def test_a_secret_is_text_that_shows_nothing(text: str, start: int, end: int) -> None:
    secret = Secret(text)
    assert secret == text
    assert hash(secret) == hash(text)
    assert secret.encode("utf-8", "surrogatepass") == text.encode("utf-8", "surrogatepass")
    assert "".join(secret) == text
    assert repr(secret) == ascii(secret) == repr(secret[start:end]) == "'***'"
    assert secret[start:end] == text[start:end]
    again = pickle.loads(pickle.dumps(secret))
    assert (again, type(again)) == (text, Secret)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_reveal_shows_what_was_said_and_no_key(value: Value) -> None:
    shown = reveal(value)
    assert shown.startswith(type(value).__name__)
    assert "k3y" not in shown
    texts = [name for name in value.PRIVATE if isinstance(getattr(value, name), str)]
    assert all(f"{name}={getattr(value, name)!r}" in shown for name in texts)


def test_reveal_reaches_into_what_is_within() -> None:
    final = events.FinalTranscript(text=SAID, start=0.0, end=1.0, words=(WORD,), languages=("en", "de"))
    assert f"words=(Word(text='{SAID}', start=0.0, end=1.0),)" in reveal(final)
    assert "languages=('en', 'de')" in reveal(final)
    assert reveal(Chunk(0, 1, SAID.encode())) == f"Chunk(start=0, end=1, data=<{len(SAID)} bytes>)"
    assert reveal(SAID) == repr(SAID)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_survive_pickling_and_cannot_be_changed(value: Value) -> None:
    again = pickle.loads(pickle.dumps(value))
    assert again == value
    assert type(again) is type(value)
    for field in value.__struct_fields__:
        with pytest.raises(AttributeError):
            setattr(value, field, None)
    assert isinstance(hash(value), int)


def test_a_repr_is_what_would_make_the_value_but_for_what_is_private() -> None:
    class Thing(Value, frozen=True, kw_only=True):
        PRIVATE: ClassVar[frozenset[str]] = frozenset({"hidden", "number"})
        shown: int
        hidden: str | None = None
        number: int | None = None

    assert repr(Thing(shown=1)) == "Thing(shown=1)"
    assert repr(Thing(shown=1, hidden="abc", number=5)) == "Thing(shown=1, hidden=<3 hidden>, number=<hidden>)"


def test_private_fields_exist() -> None:
    """A typing error in PRIVATE would show what it was to hide."""
    modules = [info.name for info in pkgutil.walk_packages(smallest_proto.__path__, "smallest_proto.")]
    values = {kind for name in modules for kind in vars(importlib.import_module(name)).values() if is_value(kind)}
    assert {type(value) for value in VALUES} <= values
    assert [kind for kind in values if not set(kind.__struct_fields__) >= kind.PRIVATE] == []


def is_value(thing: object) -> bool:
    return isinstance(thing, type) and issubclass(thing, Value)
