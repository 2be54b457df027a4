"""The states of the service's links: every cell of the tables, and that there is none for anything else."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from smallest_proto.errors import LocalProtocolError
from smallest_proto.server.recogniser import Heard
from smallest_proto.server.requests import SynthesisSocketRequest
from smallest_proto.server.socket_requests import SocketRequest
from smallest_proto.server.states import (
    LIVE,
    REQUESTS,
    SPEAKING,
    LiveAction,
    LiveInput,
    LiveState,
    RequestAction,
    RequestInput,
    RequestState,
    SpeakingAction,
    SpeakingInput,
    SpeakingState,
    step,
)
from smallest_proto.server.synthesis import GoOn, Speak, SynthesisService
from smallest_proto.server.synthesiser import SpokenPiece
from smallest_proto.server.transcription import MAX_MESSAGE_BYTES, Close, Finalize, Hear, LiveService, Reply

from .asked import read_live

NOW = 100.0
CLOSE_STREAM = json.dumps({"type": "close_stream"})
VOICE = {"voice_id": "sophia", "context_id": "c", "continue": True, "max_buffer_delay_ms": 0}
PIECE = SpokenPiece(pcm=bytes(320), seconds=0.01, words=())


def drained(service: LiveService | SynthesisService) -> list[Any]:
    return list(iter(service.poll_output, None))


def live_in(state: LiveState) -> LiveService:
    """A link in that state, with a message of audio and a finalize of which the results are still to come."""
    service = LiveService(read_live(), "session")
    service.start(NOW)
    for data in (bytes(320), json.dumps({"type": "finalize"})):
        service.message_received(data, NOW)
    if state is not LiveState.OPEN:
        service.message_received(CLOSE_STREAM, NOW)
    if state is LiveState.CLOSED:
        service.fail("the service is full", 1013, NOW)
    assert service._state is state
    drained(service)
    return service


def last_results(service: LiveService) -> None:
    service.finalized([], NOW)  # of the finalize before it
    drained(service)
    service.finalized([], NOW)


LIVE_TELLINGS: Mapping[LiveInput, Callable[[LiveService], None]] = {
    LiveInput.MESSAGE: lambda service: service.message_received(bytes(320), NOW),
    LiveInput.TOO_MUCH: lambda service: service.message_received(bytes(MAX_MESSAGE_BYTES + 1), NOW),
    LiveInput.CLOSE_STREAM: lambda service: service.message_received(CLOSE_STREAM, NOW),
    LiveInput.RESULTS: lambda service: service.recognised([Heard(text="one")], NOW),
    LiveInput.LAST: last_results,
    LiveInput.IDLE: lambda service: service.handle_timer(NOW + 3600),
    LiveInput.FAIL: lambda service: service.fail("the service goes away", 1001, NOW),
}
LIVE_OUTPUTS = {
    "nothing": [],
    "read it": [Hear],
    "finalize": [Finalize],
    "send them": [Reply],
    "send them and close": [Reply, Close],
    "close": [Close],
    "send an error and close": [Reply, Close],
}


@pytest.mark.parametrize("state", LiveState)
@pytest.mark.parametrize("what", LiveInput)
def test_every_cell_of_a_live_link(state: LiveState, what: LiveInput) -> None:
    service = live_in(state)
    cell = LIVE.get((state, what))
    if cell is None:
        with pytest.raises(LocalProtocolError, match="is not possible"):
            service._take(what)
        assert service._state is state
        return
    LIVE_TELLINGS[what](service)
    action, after = cell
    assert [type(output) for output in drained(service)] == LIVE_OUTPUTS[action.value]
    assert service._state is after
    assert service.closed is (after is LiveState.CLOSED)
    assert (service.get_timer() is None) is (after is not LiveState.OPEN)


def speaking_in(state: SpeakingState) -> SynthesisService:
    """A socket in that state, with one text more to speak where it is not closed."""
    service = SynthesisService(SynthesisSocketRequest(), "session")
    service.start(NOW)
    if state is not SpeakingState.CLOSED:
        service.message_received(json.dumps({**VOICE, "text": "w1. "}), NOW)
        assert isinstance(service.poll_output(), Speak)
    if state is SpeakingState.BETWEEN:
        service.spoken(PIECE, NOW)
    elif state is SpeakingState.FREE:
        service.spoken(None, NOW)
    elif state is SpeakingState.DROPPED:
        service.message_received(json.dumps({"context_id": "c", "cancel_request": True}), NOW)
    if state in (SpeakingState.CLOSED, SpeakingState.CLOSED_ASKED):
        service.fail("the service is full", 1013, NOW)
    else:
        service.message_received(json.dumps({**VOICE, "context_id": "d", "text": "w2. "}), NOW)
    assert service._state is state
    while service._out:
        service.poll_output()
    return service


def drop(service: SynthesisService) -> None:
    service.message_received(json.dumps({"context_id": "c", "cancel_request": True}), NOW)


SPEAKING_TELLINGS: Mapping[SpeakingInput, Callable[[SynthesisService], Any]] = {
    SpeakingInput.MESSAGE: lambda service: service.message_received("{}", NOW),
    SpeakingInput.PIECE: lambda service: service.spoken(PIECE, NOW),
    SpeakingInput.END: lambda service: service.spoken(None, NOW),
    SpeakingInput.FAILED: lambda service: service.failed("there is no such voice", NOW),
    SpeakingInput.DROP: drop,
    SpeakingInput.FAIL: lambda service: service.fail("the service goes away", 1001, NOW),
}
SPEAKING_REPLIES = {
    SpeakingAction.READ: [Reply],  # the message that is told here is answered with an error
    SpeakingAction.SEND: [Reply],
    SpeakingAction.FINISH: [Reply],
    SpeakingAction.COMPLAIN: [Reply],
    SpeakingAction.CLOSE: [Reply, Close],
}


@pytest.mark.parametrize("state", SpeakingState)
@pytest.mark.parametrize("what", SpeakingInput)
def test_every_cell_of_a_synthesis_socket(state: SpeakingState, what: SpeakingInput) -> None:
    service = speaking_in(state)
    cell = SPEAKING.get((state, what))
    if cell is None:
        with pytest.raises(LocalProtocolError, match="is not possible"):
            service._take(what)
        if what in (SpeakingInput.PIECE, SpeakingInput.END, SpeakingInput.FAILED):
            with pytest.raises(LocalProtocolError, match="none is under way"):
                SPEAKING_TELLINGS[what](service)
        assert service._state is state
        return
    action, after = cell
    if what is SpeakingInput.NEXT:
        output = service.poll_output()
        assert type(output) is {SpeakingAction.SPEAK: Speak, SpeakingAction.GO_ON: GoOn}.get(action, type(None))
    else:
        SPEAKING_TELLINGS[what](service)
        sent = [command for _, command in service._out]
        assert [Close if isinstance(one, Close) else Reply for one in sent] == SPEAKING_REPLIES.get(action, [])
    assert service._state is after
    assert service.closed is (after in (SpeakingState.CLOSED, SpeakingState.CLOSED_ASKED))


@pytest.mark.parametrize("state", RequestState)
@pytest.mark.parametrize("what", RequestInput)
def test_every_cell_of_a_request(state: RequestState, what: RequestInput) -> None:
    request = SocketRequest("request", None)
    request._state = state
    cell = REQUESTS.get((state, what))
    if cell is None:
        with pytest.raises(LocalProtocolError, match="is not possible"):
            request.take(what)
        assert request._state is state
    else:
        assert (request.take(what), request._state) == cell


@pytest.mark.parametrize("table", [LIVE, SPEAKING, REQUESTS])
def test_every_state_is_reached_and_the_missing_cells_are_named(table: Mapping[Any, Any]) -> None:
    states, inputs = (list(type(next(iter(table))[at])) for at in (0, 1))
    assert {after for _, after in table.values()} | {states[0]} == set(states)
    for state in states:
        for what in inputs:
            if (state, what) not in table:
                with pytest.raises(LocalProtocolError, match=what.value.replace("(", r"\(").replace(")", r"\)")):
                    step(table, state, what)


# --- the tables in other words ---


def live_by_the_rules(state: LiveState, what: LiveInput) -> tuple[LiveAction, LiveState] | None:
    """A live link; ``None``: not possible."""
    closed, do = LiveState.CLOSED, LiveAction
    of_the_open = {
        LiveInput.TOO_MUCH: (do.REFUSE, closed),
        LiveInput.CLOSE_STREAM: (do.FINALIZE, LiveState.ENDING),
        LiveInput.IDLE: (do.CLOSE, closed),
    }
    if what in of_the_open:
        return of_the_open[what] if state is LiveState.OPEN else None
    if what is LiveInput.LAST and state is LiveState.OPEN:
        return None
    if state is closed:  # the host can be late
        return do.NOTHING, closed
    if what is LiveInput.MESSAGE:
        return do.READ if state is LiveState.OPEN else do.NOTHING, state
    ends = {LiveInput.LAST: do.SEND_LAST, LiveInput.FAIL: do.REFUSE}
    return (ends[what], closed) if what in ends else (do.SEND, state)


def speaking_by_the_rules(state: SpeakingState, what: SpeakingInput) -> tuple[SpeakingAction, SpeakingState] | None:
    """A synthesis socket; ``None``: not possible."""
    asked, closed, do = SpeakingState.ASKED, SpeakingState.CLOSED, SpeakingAction
    is_closed = state in (closed, SpeakingState.CLOSED_ASKED)
    owes = state in (asked, SpeakingState.DROPPED, SpeakingState.CLOSED_ASKED)
    if what is SpeakingInput.MESSAGE:
        return do.NOTHING if is_closed else do.READ, state
    if what is SpeakingInput.FAIL:
        return (do.NOTHING, state) if is_closed else (do.CLOSE, SpeakingState.CLOSED_ASKED if owes else closed)
    if what is SpeakingInput.DROP:
        return {
            asked: (do.NOTHING, SpeakingState.DROPPED),
            SpeakingState.BETWEEN: (do.NOTHING, SpeakingState.FREE),
        }.get(state)
    if what is SpeakingInput.NEXT:
        if is_closed:
            return None
        return (do.NOTHING, state) if owes else (do.SPEAK if state is SpeakingState.FREE else do.GO_ON, asked)
    if not owes:
        return None
    if state is not asked:  # nobody wants it
        return do.NOTHING, closed if is_closed else SpeakingState.FREE
    return {
        SpeakingInput.PIECE: (do.SEND, SpeakingState.BETWEEN),
        SpeakingInput.END: (do.FINISH, SpeakingState.FREE),
        SpeakingInput.FAILED: (do.COMPLAIN, SpeakingState.FREE),
    }[what]


def request_by_the_rules(state: RequestState, what: RequestInput) -> tuple[RequestAction, RequestState] | None:
    """One request; ``None``: not possible."""
    if state is RequestState.ENDED:
        return None
    if what is RequestInput.END:  # nothing at all needs no answer, signs alone are a mistake
        answers = {RequestState.SIGNS: RequestAction.COMPLAIN, RequestState.SPOKEN: RequestAction.COMPLETE}
        return answers.get(state, RequestAction.NOTHING), RequestState.ENDED
    if what is RequestInput.WORDS:
        return RequestAction.SPEAK, RequestState.SPOKEN
    only_signs = state is RequestState.EMPTY and what is RequestInput.SIGNS
    return RequestAction.NOTHING, RequestState.SIGNS if only_signs else state


@pytest.mark.parametrize(
    ("table", "rules"), [(LIVE, live_by_the_rules), (SPEAKING, speaking_by_the_rules), (REQUESTS, request_by_the_rules)]
)
def test_every_cell_follows_from_the_rules(table: Mapping[Any, Any], rules: Callable[[Any, Any], object]) -> None:
    states, inputs = (type(next(iter(table))[at]) for at in (0, 1))
    for state in states:
        for what in inputs:
            assert table.get((state, what)) == rules(state, what), (state, what)
