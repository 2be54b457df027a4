"""The stages of a session: every cell of the table, reached by what an application and a transport can really tell."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from smallest_proto.commands import AbortLink, CloseLink, OpenLink
from smallest_proto.config import Endpoint, Timeouts, TranscriptionConfig
from smallest_proto.errors import Failure, FailureKind, LocalProtocolError
from smallest_proto.events import EndReason, SessionEnded
from smallest_proto.transcription.events import FinalTranscript
from smallest_proto.transcription.session import TranscriptionSession
from smallest_proto.transcription.states import SESSIONS, SessionAction, SessionInput, SessionState

LAST = json.dumps({"type": "transcription", "transcript": "", "is_final": True, "is_last": True})
REFUSED = Failure(kind=FailureKind.STATUS, reason="the service refused", status=401)
# Nothing but the stages is to be met here.
PATIENT = Timeouts(last=10.0, opening=1e6, closing=1e6, ping=1e6, write=1e6, mute=1e6, keepalive=1e6)


class Told(TranscriptionSession):
    """A session, the time, and the number of its newest link."""

    def __init__(self) -> None:
        super().__init__(TranscriptionConfig(), Endpoint(api_key="key"), timeouts=PATIENT)
        self.now = 100.0
        self.link = 0
        self.outputs: list[Any] = []

    def drain(self) -> list[Any]:
        outputs = []
        while (output := self.poll_output()) is not None:
            outputs.append(output)
            if isinstance(output, OpenLink):
                self.link = output.link
        self.outputs += outputs
        return outputs


def open_link(session: Told) -> None:
    session.drain()
    session.link_opened(session.link, session.now)
    session.drain()


def no_last_from_two_links(session: Told) -> None:
    for _ in range(2):
        session.drain()
        if session.ended:
            return
        session.link_closed(session.link, 1000, "", session.now)
        session.now += 1.0
        session.handle_timer(session.now)
        session.drain()
        session.link_opened(session.link, session.now)


def time_passes(session: Told) -> None:
    session.now += 10.0
    session.handle_timer(session.now)


TELLINGS: dict[SessionInput, Callable[[Told], object]] = {
    SessionInput.START: lambda session: session.start(session.now),
    SessionInput.AUDIO: lambda session: session.send_audio(bytes(1600), session.now),
    SessionInput.FINALIZE: lambda session: session.finalize(session.now),
    SessionInput.UPDATE: lambda session: session.update(TranscriptionConfig(vad_events=True), session.now),
    SessionInput.END_INPUT: lambda session: session.end_input(session.now),
    SessionInput.ABORT: lambda session: session.abort(session.now),
    SessionInput.LAST: lambda session: session.message_received(session.link, LAST, session.now),
    SessionInput.LAST_DUE: time_passes,
    SessionInput.UNANSWERED: no_last_from_two_links,
    SessionInput.GIVEN_UP: lambda session: session.link_failed(session.link, REFUSED, session.now),
    SessionInput.LINKS_GONE: lambda session: session.link_closed(session.link, 1000, "", session.now),
}
WAYS: dict[SessionState, list[Callable[[Told], object]]] = {
    SessionState.NEW: [],
    SessionState.STREAMING: [TELLINGS[SessionInput.START], open_link],
    SessionState.ENDING: [TELLINGS[SessionInput.START], open_link, TELLINGS[SessionInput.END_INPUT]],
    SessionState.CLOSING: [
        TELLINGS[SessionInput.START],
        open_link,
        TELLINGS[SessionInput.END_INPUT],
        TELLINGS[SessionInput.LAST],
    ],
    SessionState.ENDED: [TELLINGS[SessionInput.START], TELLINGS[SessionInput.ABORT]],
}
BY_THE_APPLICATION = {
    SessionInput.START,
    SessionInput.AUDIO,
    SessionInput.FINALIZE,
    SessionInput.UPDATE,
    SessionInput.END_INPUT,
    SessionInput.ABORT,
}


def session_in(state: SessionState) -> Told:
    session = Told()
    for step in WAYS[state]:
        step(session)
    session.drain()
    assert session._course.state is state
    return session


def check_action(session: Told, action: SessionAction | EndReason, outputs: list[Any]) -> None:
    ends = [output for output in outputs if isinstance(output, SessionEnded)]
    assert [end.reason for end in ends] == ([action] if isinstance(action, EndReason) else [])
    assert session.ended is (session._course.state is SessionState.ENDED)
    if ends:
        assert session.ended
        assert outputs[-1] is ends[0]
        assert (ends[0].failure is None) is (ends[0].reason in (EndReason.COMPLETED, EndReason.ABORTED))
        assert session.get_timer() is None
    if action is SessionAction.CLOSE:
        assert [type(output) for output in outputs] == [FinalTranscript, CloseLink]


@pytest.mark.parametrize("state", SessionState)
@pytest.mark.parametrize("what", SessionInput)
def test_every_cell_of_the_table(state: SessionState, what: SessionInput) -> None:
    session = session_in(state)
    cell = SESSIONS.get((state, what))
    before = (session.get_timer(), session.stats, session.config.audio_format, session.ready_for_audio)
    if cell is not None:
        session.outputs.clear()
        TELLINGS[what](session)
        session.drain()
        action, after = cell
        assert session._course.state is after
        check_action(session, action, session.outputs)
        return
    with pytest.raises(LocalProtocolError) as raised:
        session._course.step(what, session.now)
    assert str(raised.value) == f"{what.value} is not possible {state.value}"
    if what in BY_THE_APPLICATION:
        with pytest.raises(LocalProtocolError, match="is not possible"):
            TELLINGS[what](session)
        assert session.drain() == []
        assert (session.get_timer(), session.stats, session.config.audio_format, session.ready_for_audio) == before
        assert session._course.state is state
    else:  # what a peer can say then raises nothing, whatever else comes of it
        TELLINGS[what](session)


def test_every_stage_leads_to_the_end_and_the_end_to_nothing() -> None:
    for state in SessionState:
        ways = {after for (before, _), (_, after) in SESSIONS.items() if before is state}
        assert SessionState.ENDED in ways
        assert SESSIONS[state, SessionInput.ABORT][1] is SessionState.ENDED
    assert [what for state, what in SESSIONS if state is SessionState.ENDED] == [SessionInput.ABORT]


@pytest.mark.parametrize("state", SessionState)
def test_abort_drops_every_link_at_once(state: SessionState) -> None:
    session = session_in(state)
    session.abort(session.now)
    outputs = session.drain()
    has_link = state not in (SessionState.NEW, SessionState.ENDED)
    assert [type(output) for output in outputs[:-1]] == [AbortLink] * has_link
    assert outputs[-1:] == [SessionEnded(reason=EndReason.ABORTED)] * (state is not SessionState.ENDED)
    session.abort(session.now)
    assert session.drain() == []
