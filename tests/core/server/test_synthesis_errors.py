"""A synthesis socket from the service's side: nothing a client sends can break it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smallest_proto.errors import LocalProtocolError
from smallest_proto.reading import Word
from smallest_proto.server.synthesis import MAX_CONTEXTS, GoOn, Speak
from smallest_proto.server.synthesiser import SpokenPiece

from .speech_host import VOICE, Host, spoken, statuses


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("<html>", "JSON object as text, and it is not JSON"),
        ("[1]", "not a JSON object"),
        (b"\x00", "binary"),
        ({"text": "w1", "voice_id": None}, "voice_id is missing"),
        ({}, "text is missing"),
        ({"text": 7}, "text is missing"),
        ({"text": "secret \ud800"}, "lone surrogates"),
        ({"text": "x" * 100_001}, "100,000 characters"),
        ({"text": "w1", "speed": 3}, "speed must be a number from 0.5 to 2"),
        ({"text": "w1", "sample_rate": 11025}, "8000, 16000, 24000, 44100"),
        ({"text": "w1", "model": "pulse"}, "model must be one of lightning_v3.1"),
        ({"text": "w1", "model": "lightning-large"}, "have their own path"),
        ({"text": "w1", "output_format": "mp3"}, "pcm alone"),
        ({"text": "w1", "continue": "yes"}, "continue and flush must be true or false"),
        ({"text": "w1", "context_id": 7}, "context_id must be text"),
        ({"text": "w1", "context_id": ""}, "context_id must be text"),
        ({"text": "w1", "max_buffer_delay_ms": 5001}, "0 to 5000"),
        ({"cancel_request": True}, "needs the context_id"),
        ({"text": "…"}, "nothing that can be said"),
    ],
)
def test_what_is_wrong_is_told_and_the_socket_goes_on(message: dict[str, Any] | str | bytes, expected: str) -> None:
    host = Host()
    data = json.dumps({**VOICE, **message}) if isinstance(message, dict) else message
    host.service.message_received(data, host.now)
    host.run()
    (error,) = host.replies
    assert error["status"] == "error"
    assert error["session_id"] == "session-7"
    assert expected in error["message"]
    assert "secret" not in error["message"]
    assert statuses(host.send(text="w1")) == ["chunk", "complete"]


def test_an_error_ends_its_request_alone() -> None:
    host = Host()
    host.send(text="w1 ", **{"continue": True})
    host.send(text="w2 ", context_id="c", **{"continue": True})
    assert statuses(host.send(text="w3", speed=9)) == ["error"]
    assert spoken(host.send(text="w4")) == ["w4"]
    assert statuses(host.send(text="w5", context_id="c", speed=9)) == ["error"]
    assert spoken(host.send(text="w6", context_id="c")) == ["w6"]


def test_contexts_have_a_bound() -> None:
    host = Host()
    for number in range(MAX_CONTEXTS):
        assert host.send(text="w1", context_id=str(number), **{"continue": True}) == []
    (error,) = host.send(text="w1", context_id="more", **{"continue": True})
    assert f"at most {MAX_CONTEXTS} contexts" in error["message"]
    host.send(context_id="0", cancel_request=True)
    assert host.send(text="w1", context_id="more", **{"continue": True}) == []


@pytest.mark.parametrize(("timeout", "seconds"), [(None, 60.0), (5.0, 5.0)])
def test_an_idle_socket_is_told_and_closed(timeout: float | None, seconds: float) -> None:
    host = Host(timeout=timeout)
    host.wait(seconds - 1)
    host.send(text="w1")
    assert host.wait(seconds - 0.25) == []
    (error,) = host.wait(0.25)
    assert error["status"] == "error"
    assert f"for {seconds:g} s" in error["message"]
    assert host.closed is not None
    assert host.closed.code == 1000
    assert host.service.closed
    assert host.send(text="w1") == []
    assert host.service.get_timer() is None


def test_failing_says_why_and_drops_what_waits() -> None:
    host = Host()
    host.tell(text="w1")
    assert isinstance(host.service.poll_output(), Speak)
    host.service.fail("the server goes away\ud800" + "é" * 200, 1001, host.now)
    host.service.fail("again", 1011, host.now)
    host.service.spoken(None, host.now)  # what the host owed
    host.run()
    assert statuses(host.replies) == ["error"]
    assert host.closed is not None
    assert host.closed.code == 1001
    assert len(host.closed.reason.encode()) <= 123


def test_an_answer_that_nobody_asked_for_is_the_hosts_mistake() -> None:
    host = Host()
    with pytest.raises(LocalProtocolError, match="none is under way"):
        host.service.spoken(None, 0.0)
    with pytest.raises(LocalProtocolError, match="none is under way"):
        host.service.failed("no", 0.0)


def test_a_failure_of_what_was_cancelled_is_passed_over() -> None:
    host = Host()
    host.tell(text="w1", context_id="c")
    assert isinstance(host.service.poll_output(), Speak)
    host.tell(context_id="c", cancel_request=True)
    host.service.failed("no", host.now)
    host.run()
    assert host.replies == []


def test_words_that_are_not_in_the_text_or_have_no_audio_are_told_all_the_same() -> None:
    host = Host()
    host.tell(text="one two", word_timestamps=True)
    assert isinstance(host.service.poll_output(), Speak)
    words = (Word(text="eins"), Word(text="two", start=9.0, end=10.0), Word(text="drei", start=10.0, end=11.0))
    host.service.spoken(SpokenPiece(pcm=bytes(3200), seconds=0.1, words=words), host.now)
    host.run()
    result = [message["data"] for message in host.replies if message["status"] == "word_timestamp"]
    assert [(word["id"], word["word"], word["start"]) for word in result] == [
        (0, "eins", 0.0),
        (1, "two", 9.0),
        (2, "drei", 10.0),
    ]


def test_what_is_said_does_not_show() -> None:
    host = Host()
    host.tell(text="secret")
    shown = []
    while (command := host.service.poll_output()) is not None:
        shown.append(repr(command))
        if isinstance(command, (Speak, GoOn)):
            host.answer(command)
    assert len(shown) > 2
    assert "secret" not in "".join(shown)


# --- any order of things ---

flags = st.sampled_from(({}, {"continue": True}, {"continue": True, "flush": True}, {"continue": False}))
words = st.lists(st.integers(1, 30), max_size=4).map(lambda them: "".join(f"w{n} " for n in them))
ends = st.sampled_from(("", ". ", "! "))


@settings(max_examples=150)
@given(st.lists(st.tuples(st.sampled_from((None, "a", "b")), words, ends, flags, st.integers(0, 6))))
def test_every_word_is_spoken_once_in_order_whatever_comes_when(
    messages: list[tuple[str | None, str, str, dict[str, bool], int]],
) -> None:
    host = Host()
    given_words: dict[str | None, list[str]] = {None: [], "a": [], "b": []}
    for context, text, end, flag, steps in messages:
        host.tell(text=text + end if text else "", context_id=context, **flag)
        given_words[context] += text.split()
        for _ in range(steps):
            host.step()
    for context in given_words:
        host.tell(text="", context_id=context, **{"continue": False})
    host.run()
    assert {message["status"] for message in host.replies} <= {"chunk", "complete"}
    for context, expected in given_words.items():
        replies = [message for message in host.replies if message.get("context_id") == context]
        assert spoken(replies) == expected
        if context is None:  # each request has one complete, at its end
            ids = [message["request_id"] for message in replies if message["status"] == "complete"]
            assert len(set(ids)) == len(ids)
            assert set(ids) == {message["request_id"] for message in replies}


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-10, 10**20) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
names = ("text", "voice_id", "model", "sample_rate", "speed", "continue", "flush", "context_id", "cancel_request")
more = (
    "max_buffer_flush_ms",
    "max_buffer_delay_ms",
    "word_timestamps",
    "language",
    "pronunciation_dicts",
    "request_id",
)
strange = st.dictionaries(st.sampled_from(names + more), anything, max_size=6)


@settings(max_examples=200)
@given(st.lists(st.one_of(strange.map(lambda fields: json.dumps({**VOICE, **fields})), st.text(), st.binary())))
def test_nothing_that_a_client_sends_raises(messages: list[str | bytes]) -> None:
    host = Host()
    for message in messages:
        host.service.message_received(message, host.now)
        host.run()
    for context in ("", "x"):
        host.send(context_id=context, cancel_request=True)
    assert host.closed is None
    assert statuses(host.send(text="w1", context_id="quite new"))[-1:] == ["complete"]
