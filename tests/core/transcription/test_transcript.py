"""The finals of a stream as one transcript, and its subtitles."""

from __future__ import annotations

from smallest_proto.events import EndReason, SessionEnded
from smallest_proto.reading import Word
from smallest_proto.transcription.events import AudioLost, FinalTranscript, InterimTranscript, LossReason
from smallest_proto.transcription.transcript import LiveTranscript

ENDED = SessionEnded(reason=EndReason.COMPLETED)
WORDS = (Word(text="Hello", start=0.5, end=0.9), Word(text="there.", start=0.9, end=1.4))
HELLO = FinalTranscript(text="Hello there. ", start=0.5, end=1.4, words=WORDS, language="en")


def test_finals_are_put_together_and_nothing_else_is() -> None:
    lost = AudioLost(start=1.5, end=1.7, reason=LossReason.BUFFER_FULL)
    empty = FinalTranscript(text="", start=1.4, end=1.6, from_finalize=True)
    interim = InterimTranscript(text="no", start=0.0, end=0.2, session_id=None)
    uh = FinalTranscript(text="Uh", start=2.0, end=2.2)
    huh = FinalTranscript(text="-huh.", start=2.2, end=2.5, begins_in_mid_word=True)
    made = LiveTranscript.of([interim, HELLO, empty, lost, uh, huh, ENDED])
    assert made.text == "Hello there. Uh-huh."
    assert (made.words, made.language, made.duration, made.lost, made.complete) == (WORDS, "en", 2.5, (lost,), True)


def test_what_did_not_end_well_is_not_complete() -> None:
    assert not LiveTranscript.of([]).complete
    assert not LiveTranscript.of([HELLO]).complete
    assert not LiveTranscript.of([HELLO, SessionEnded(reason=EndReason.INCOMPLETE)]).complete


def test_it_has_subtitles() -> None:
    made = LiveTranscript.of([HELLO, ENDED])
    assert made.to_srt() == "1\n00:00:00,500 --> 00:00:01,700\nHello there.\n\n"
    assert made.to_vtt() == "WEBVTT\n\n00:00:00.500 --> 00:00:01.700\nHello there.\n"


def test_what_was_said_is_not_shown() -> None:
    assert "Hello" not in repr(LiveTranscript.of([HELLO, ENDED]))
