"""A synthesis socket from the service's side: both protocols, fragment by fragment."""

from __future__ import annotations

import base64

import pytest

from smallest_proto.config import TranscriptionConfig
from smallest_proto.server.recogniser import CodedRecogniser, Heard
from smallest_proto.server.synthesis import Speak

from .speech_host import RATE, Host, audio, spoken, statuses

# --- plain ---


def test_a_whole_text_is_answered_by_its_audio_and_one_complete() -> None:
    host = Host()
    replies = host.send(text="w1 w2. w3", session_id="mine", request_id="r.1")
    assert statuses(replies) == ["chunk", "complete"]
    assert spoken(replies) == ["w1", "w2", "w3"]
    ids = {
        "session_id": "session-7",
        "request_id": "session-7-1",
        "external_session_id": "mine",
        "external_request_id": "r.1",
    }
    assert replies[-1] == {**ids, "status": "complete"}
    assert {tuple(message) for message in replies[:-1]} == {(*ids, "status", "data")}
    assert max(len(base64.b64decode(message["data"]["audio"])) for message in replies[:-1]) == 3200
    assert host.send(text="w4")[-1] == {"session_id": "session-7", "request_id": "session-7-2", "status": "complete"}


def test_fragments_wait_for_the_flush_and_are_joined_as_they_are() -> None:
    host = Host()
    for fragment in ("w1 w", "2. w3", "4 "):
        assert host.send(text=fragment, **{"continue": True, "flush": False}) == []
    replies = host.send(text="", **{"continue": False, "flush": True})
    assert spoken(replies) == ["w1", "w2", "w34"]
    assert statuses(replies) == ["chunk", "complete"]


def test_a_flush_speaks_and_the_request_goes_on() -> None:
    host = Host()
    replies = host.send(text="w1 ", **{"continue": True, "flush": True})
    assert (spoken(replies), statuses(replies)) == (["w1"], ["chunk"])
    assert host.send(text="w2", **{"continue": True}) == []
    replies = host.send(**{"continue": False, "flush": True})
    assert (spoken(replies), statuses(replies)) == (["w2"], ["chunk", "complete"])


def test_all_that_was_flushed_before_is_completed_by_the_end() -> None:
    host = Host()
    host.send(text="w1", **{"continue": True, "flush": True})
    assert statuses(host.send(text="", **{"continue": False})) == ["complete"]
    host.tell(text="w2", **{"continue": True, "flush": True})
    host.tell(text="", **{"continue": False})  # while w2 is being spoken
    before = len(host.replies)
    host.run()
    assert statuses(host.replies[before:]) == ["chunk", "complete"]


def test_of_an_empty_request_nothing_is_said() -> None:
    host = Host()
    assert host.send(text=" ", **{"continue": True}) == []
    assert host.send(text="", **{"continue": False, "flush": True}) == []
    assert statuses(host.send(text="w1")) == ["chunk", "complete"]


def test_signs_that_are_left_of_a_sentence_are_passed_over() -> None:
    host = Host()
    assert spoken(host.send(text="w1", **{"continue": True, "flush": True})) == ["w1"]
    assert statuses(host.send(text=".", **{"continue": False})) == ["complete"]
    assert spoken(host.send(text="w1! ", context_id="c", **{"continue": True})) == ["w1"]
    assert host.send(text="…", context_id="c") == []
    assert statuses(host.send(text="…", context_id="c")) == ["error"]


def test_max_buffer_flush_ms_speaks_what_is_there_even_half_a_word() -> None:
    host = Host()
    host.send(text="w1 w", max_buffer_flush_ms=500, **{"continue": True})
    assert host.wait(0.25) == []
    host.send(text="2", max_buffer_flush_ms=500, **{"continue": True})  # it counts from the oldest
    assert spoken(host.wait(0.25)) == ["w1", "w2"]
    assert host.wait(10) == []
    host = Host()
    host.send(text="w1 ", max_buffer_flush_ms=0, **{"continue": True})
    assert host.wait(50) == []


def test_requests_that_come_early_are_spoken_one_after_the_other() -> None:
    host = Host()
    host.tell(text="w1", request_id="a")
    host.tell(text="w2 ", request_id="b", **{"continue": True})
    host.tell(text="w3", request_id="b")
    host.run()
    assert spoken(host.replies) == ["w1", "w2", "w3"]
    asked = [(m["external_request_id"], m["status"]) for m in host.replies if m["status"] != "chunk"]
    assert asked == [("a", "complete"), ("b", "complete")]


def test_words_come_with_their_places_and_times_before_their_audio() -> None:
    host = Host()
    replies = host.send(text="w1 — w2. ", word_timestamps=True, **{"continue": True, "flush": True})
    replies += host.send(text="w2 w3,", word_timestamps=True)
    words = [message["data"] for message in replies if message["status"] == "word_timestamp"]
    assert [(word["id"], word["word"]) for word in words] == [(0, "w1"), (2, "w2."), (3, "w2"), (4, "w3,")]
    samples = 0
    for message in replies:
        if message["status"] == "chunk":
            samples += len(base64.b64decode(message["data"]["audio"])) // 2
        elif message["status"] == "word_timestamp":
            assert message["data"]["start"] * RATE >= samples
    recogniser = CodedRecogniser(TranscriptionConfig(sample_rate=RATE))
    results = [*recogniser.hear(audio(replies)), *recogniser.finalize()]
    heard = [word for item in results if isinstance(item, Heard) and item.final for word in item.words]
    assert [(round(w["start"] * RATE), round(w["end"] * RATE)) for w in words] == [
        (round((w.start or 0) * RATE), round((w.end or 0) * RATE)) for w in heard
    ]
    assert all(m["status"] != "word_timestamp" for m in host.send(text="w1"))


@pytest.mark.parametrize(("asked", "waits"), [({}, 4.0), ({"complete_backoff_ms": 250}, 0.25)])
def test_complete_follows_the_last_chunk_by_the_backoff(asked: dict[str, int], waits: float) -> None:
    host = Host()
    default = {"complete_backoff_ms": None, **asked}
    assert statuses(host.send(text="w1", **default)) == ["chunk"]
    assert host.wait(waits - 0.125) == []
    assert statuses(host.wait(0.125)) == ["complete"]
    # What was flushed long before its request ended is complete at once.
    assert statuses(host.send(text="w2", **default, **{"continue": True, "flush": True})) == ["chunk"]
    host.wait(5.0)
    assert statuses(host.send(text="", **default, **{"continue": False})) == ["complete"]


def test_the_next_text_does_not_wait_for_a_complete_and_does_not_overtake_it() -> None:
    host = Host()
    host.send(text="w1", request_id="a", complete_backoff_ms=None)
    replies = host.send(text="w2", request_id="b", complete_backoff_ms=None)
    assert statuses(replies) == ["complete", "chunk"]
    assert [message["external_request_id"] for message in replies] == ["a", *["b"] * (len(replies) - 1)]
    assert [message["external_request_id"] for message in host.wait(4.0)] == ["b"]
    assert host.wait(9.0) == []


def test_a_voice_that_there_is_not_is_an_error_and_the_socket_goes_on() -> None:
    host = Host(voices=("sophia",))
    (error,) = host.send(text="w1", voice_id="nobody")
    assert (error["status"], "no voice 'nobody'" in error["message"]) == ("error", True)
    assert spoken(host.send(text="w1")) == spoken(host.send(text="w1", voice_id="voice_x")) == ["w1"]


# --- continuations ---


def test_whole_sentences_are_spoken_at_once_and_each_part_is_completed() -> None:
    host = Host()
    assert host.send(text="w1 w2", context_id="c", **{"continue": True}) == []
    replies = host.send(text=". w3. w4", context_id="c", **{"continue": True})
    assert (spoken(replies), statuses(replies)) == (["w1", "w2", "w3"], ["chunk", "complete"])
    assert {message["context_id"] for message in replies} == {"c"}
    replies = host.send(text=" w5", context_id="c", **{"continue": False})
    assert (spoken(replies), statuses(replies)) == (["w4", "w5"], ["chunk", "complete"])
    assert host.send(text="", context_id="c", **{"continue": False}) == []


def test_sentences_in_messages_of_their_own_stay_words_of_their_own() -> None:
    host = Host()
    assert host.send(text="w1 w21?", context_id="c", **{"continue": True}) == []
    replies = host.send(text="W3 w45.", context_id="c", **{"continue": True})
    assert spoken(replies) == ["w1", "w21"]
    assert spoken(host.send(text="", context_id="c", **{"continue": False})) == ["w3", "w45"]


@pytest.mark.parametrize(("asked", "waits"), [(None, 3.0), (500, 0.5), (0, 0.0)])
def test_what_ends_no_sentence_waits_so_long(asked: int | None, waits: float) -> None:
    host = Host()
    assert host.send(text="w1 w2", context_id="c", max_buffer_delay_ms=asked, **{"continue": True}) == []
    assert not waits or host.wait(waits - 0.25) == []
    replies = host.wait(0.25)
    assert (spoken(replies), statuses(replies)) == (["w1", "w2"], ["chunk", "complete"])
    assert host.wait(20) == []


def test_the_rest_of_a_sentence_begins_to_wait_anew() -> None:
    host = Host()
    host.send(text="w1", context_id="c", max_buffer_delay_ms=1000, **{"continue": True})
    host.wait(0.75)
    assert spoken(host.send(text=". w2", context_id="c", **{"continue": True})) == ["w1"]
    assert host.wait(0.75) == []
    assert spoken(host.wait(0.25)) == ["w2"]


def test_contexts_and_plain_requests_share_a_socket() -> None:
    host = Host()
    host.send(text="w1 ", context_id="a", **{"continue": True})
    host.send(text="w2 ", context_id="b", **{"continue": True})
    host.send(text="w3 ", **{"continue": True})
    assert spoken(host.send(text="w4", context_id="a")) == ["w1", "w4"]
    assert spoken(host.send(text="w5")) == ["w3", "w5"]
    assert spoken(host.send(text="w6", context_id="b")) == ["w2", "w6"]


def test_cancel_takes_back_all_that_was_not_sent() -> None:
    host = Host()
    host.tell(text="w1 w2 w3. w4. w5", context_id="c", **{"continue": True})
    host.tell(text="w6", context_id="d")
    while len(host.replies) < 2:
        host.step()
    before = len(host.replies)
    host.service.message_received('{"context_id": "c", "cancel_request": true}', host.now)
    host.run()
    replies = host.replies[before:]
    assert {message["context_id"] for message in replies} == {"d"}
    assert spoken(replies) == ["w6"]
    assert host.wait(30) == []  # not even w5, which waited for its sentence
    assert spoken(host.send(text="w7", context_id="c")) == ["w7"]


def test_a_piece_that_was_asked_for_before_the_cancel_is_passed_over() -> None:
    host = Host()
    host.tell(text="w1", context_id="c")
    command = host.service.poll_output()
    assert isinstance(command, Speak)
    host.tell(context_id="c", cancel_request=True)
    host.tell(text="w2", context_id="c")
    assert host.service.poll_output() is None  # the host still owes the first one
    host.answer(command)
    host.run()
    assert spoken(host.replies) == ["w2"]
