"""``_transcription``: audio that is offered, and events that go to a listener."""

from __future__ import annotations

from typing import Any

import pytest

from smallest_proto.events import SessionEnded
from smallest_proto.transcription.events import FinalTranscript
from smallest_transports import _wire as wire
from smallest_transports._transcription import TranscriptionStream

from .fakes import MESSAGE, say, streaming


def test_takes_what_is_offered_while_there_is_room() -> None:
    driving, link = streaming()
    stream = TranscriptionStream(driving)
    assert stream.offer(MESSAGE)
    assert link.heard() == [wire.BinaryMessage(MESSAGE)]
    link.paused = True
    assert not stream.offer(MESSAGE)
    link.paused = False
    assert stream.offer(MESSAGE)
    assert link.heard() == [wire.BinaryMessage(MESSAGE)]
    driving.tell(driving.machine.abort)
    assert not stream.offer(MESSAGE)
    assert driving.machine.stats.seconds_given == 0.1


def test_gives_its_events_to_a_listener_those_that_wait_first() -> None:
    driving, link = streaming()
    say(driving, link, transcript="one", is_final=True)
    heard: list[Any] = []
    TranscriptionStream(driving).listen(heard.append)
    say(driving, link, transcript="two", is_final=True)
    driving.tell(driving.machine.abort)
    assert [event.text for event in heard if isinstance(event, FinalTranscript)] == ["one", "two"]
    assert isinstance(heard[-1], SessionEnded)
    assert not driving.outputs


def test_ends_with_what_the_listener_raised_first_and_whoever_told_it_hears_nothing_of_it() -> None:
    driving, link = streaming()
    TranscriptionStream(driving).listen(lambda event: {}[type(event).__name__])
    say(driving, link, transcript="one", is_final=True)
    assert driving.over()
    driving.tell(driving.machine.abort)  # what is asked is done all the same
    assert link.end == "aborted"
    with pytest.raises(KeyError, match="SpeechStarted"):
        driving.check()
