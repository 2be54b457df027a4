"""The stages of a synthesis and of its segments: every cell of both tables, reached by what can really happen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from smallest_proto.commands import AbortLink, CloseLink
from smallest_proto.config import RetryPolicy
from smallest_proto.errors import Failure, FailureKind, LocalProtocolError
from smallest_proto.events import EndReason, SessionEnded
from smallest_proto.synthesis.events import SegmentDone, SpokenSoFar
from smallest_proto.synthesis.states import (
    SEGMENTS,
    SYNTHESES,
    SegmentAction,
    SegmentInput,
    SegmentState,
    SynthesisAction,
    SynthesisInput,
    SynthesisState,
)

REFUSED = Failure(kind=FailureKind.STATUS, reason="the service refused", status=401)
Telling = Callable[[Any], object]


def goodbye(talk: Any) -> None:
    """The last link is gone: what ``CloseLink`` asks for."""
    talk.tell("link_closed", talk.link, 1000, "")


TELLINGS: dict[SynthesisInput, Telling] = {
    SynthesisInput.START: lambda talk: talk.tell("start"),
    SynthesisInput.TEXT: lambda talk: talk.tell("send_text", "w1 "),
    SynthesisInput.FLUSH: lambda talk: talk.tell("flush"),
    SynthesisInput.PREWARM: lambda talk: talk.tell("prewarm"),
    SynthesisInput.CANCEL: lambda talk: talk.tell("cancel"),
    SynthesisInput.END_INPUT: lambda talk: talk.tell("end_input"),
    SynthesisInput.ABORT: lambda talk: talk.tell("abort"),
    SynthesisInput.ALL_OVER: lambda talk: talk.deliver(),
    SynthesisInput.LINKS_GONE: goodbye,
    SynthesisInput.LINKS_GONE_UNSPOKEN: goodbye,
    SynthesisInput.GIVEN_UP: lambda talk: talk.tell("link_failed", talk.link, REFUSED),
}
BY_APPLICATION = list(SynthesisInput)[:7]
WAYS: dict[SynthesisState, Telling] = {
    SynthesisState.NEW: lambda talk: talk.settle(),
    SynthesisState.SPEAKING: lambda talk: [talk.tell("start"), talk.tell("send_text", "w1 ")],
    SynthesisState.ENDING: lambda talk: [talk.tell("start"), talk.tell("send_text", "w1 w2"), talk.tell("end_input")],
    SynthesisState.CLOSING: lambda talk: [talk.tell("start"), talk.tell("end_input")],
    SynthesisState.ENDED: lambda talk: [talk.tell("start"), talk.tell("abort")],
}


def brought_to(talks: Any, state: SynthesisState, *, unspoken: bool = False) -> Any:
    talk = talks(session={"retry": RetryPolicy(max_retries=3)})
    talk.says_goodbye = False
    if unspoken:
        talk.tell("start")
        talk.say("w1 w2 w3.")
        talk.deliver(2)
        talk.lose()
        talk.ring()
        talk.tell("end_input")
    else:
        WAYS[state](talk)
    assert talk.session._state is state
    return talk


@pytest.mark.parametrize(("state", "what"), SYNTHESES, ids=lambda value: value.name)
def test_every_cell_of_a_synthesis(talks: Any, state: SynthesisState, what: SynthesisInput) -> None:
    talk = brought_to(talks, state, unspoken=what is SynthesisInput.LINKS_GONE_UNSPOKEN)
    before = len(talk.outputs)
    TELLINGS[what](talk)
    action, after = SYNTHESES[state, what]
    if what is SynthesisInput.CANCEL and state is SynthesisState.ENDING:
        after = SynthesisState.CLOSING  # as then no segment is left
    assert talk.session._state is after
    new = talk.outputs[before:]
    if action is SynthesisAction.CLOSE:
        assert CloseLink(link=talk.link, code=1000) in new
    elif isinstance(action, EndReason):
        assert new[-1].reason is action
        assert isinstance(new[-1], SessionEnded)
        assert (new[-1].failure is None) == (action in (EndReason.ABORTED, EndReason.COMPLETED))
    if after is SynthesisState.ENDED:
        assert talk.session.ended
        assert talk.session.get_timer() is None


@pytest.mark.parametrize("state", SynthesisState)
@pytest.mark.parametrize("what", BY_APPLICATION)
def test_what_is_in_no_cell_is_a_mistake_and_changes_nothing(
    talks: Any, state: SynthesisState, what: SynthesisInput
) -> None:
    if (state, what) in SYNTHESES:
        return
    talk = brought_to(talks, state)
    before = len(talk.outputs), talk.session.get_timer(), talk.session.stats
    with pytest.raises(LocalProtocolError, match="is not possible") as caught:
        TELLINGS[what](talk)
    assert what.value in str(caught.value)
    assert state.value in str(caught.value)
    assert (len(talk.settle()), talk.session._state) == (0, state)
    assert (len(talk.outputs), talk.session.get_timer(), talk.session.stats) == before


def stage_by_the_rules(
    state: SynthesisState, what: SynthesisInput
) -> tuple[SynthesisAction | EndReason, SynthesisState] | None:
    """The table in other words; ``None``: not possible."""
    on, ended = SynthesisAction.GO_ON, SynthesisState.ENDED
    if what is SynthesisInput.ABORT:  # always possible, and told once
        return on if state is ended else EndReason.ABORTED, ended
    if what is SynthesisInput.CANCEL:  # always possible once it has begun, as it can race with anything
        return None if state is SynthesisState.NEW else (on, state)
    steps: dict[SynthesisState, dict[SynthesisInput, tuple[SynthesisAction | EndReason, SynthesisState]]] = {
        SynthesisState.NEW: {SynthesisInput.START: (on, SynthesisState.SPEAKING)},
        SynthesisState.SPEAKING: {
            **dict.fromkeys((SynthesisInput.TEXT, SynthesisInput.FLUSH, SynthesisInput.PREWARM), (on, state)),
            SynthesisInput.END_INPUT: (on, SynthesisState.ENDING),
            SynthesisInput.GIVEN_UP: (EndReason.FAILED, ended),
        },
        SynthesisState.ENDING: {
            SynthesisInput.ALL_OVER: (SynthesisAction.CLOSE, SynthesisState.CLOSING),
            SynthesisInput.GIVEN_UP: (EndReason.FAILED, ended),
        },
        SynthesisState.CLOSING: {
            SynthesisInput.LINKS_GONE: (EndReason.COMPLETED, ended),
            SynthesisInput.LINKS_GONE_UNSPOKEN: (EndReason.INCOMPLETE, ended),
        },
        ended: {},
    }
    return steps[state].get(what)


@pytest.mark.parametrize("state", SynthesisState)
def test_the_stages_follow_from_the_rules(state: SynthesisState) -> None:
    for what in SynthesisInput:
        assert SYNTHESES.get((state, what)) == stage_by_the_rules(state, what), what


# --- a segment: how each state is reached, and each input, with what comes out ---

SEGMENT_WAYS: dict[SegmentState, Telling] = {
    SegmentState.WAITING: lambda talk: [setattr(talk, "opens", False), talk.tell("start"), talk.say("w1", flush=False)],
    SegmentState.SAYING: lambda talk: [talk.tell("start"), talk.say("w1 w2. ", flush=False)],
    SegmentState.ASKED: lambda talk: [talk.tell("start"), talk.say("w1 w2. ")],
    SegmentState.REFUSED: lambda talk: [
        *(talk.tell("start"), talk.say("w1 w2. ", flush=False), talk.deliver(2), refusal(talk)),
    ],
    SegmentState.CUT: lambda talk: [
        *(talk.tell("start"), talk.say("w1 w2. ", flush=False), talk.deliver(1), talk.lose()),
    ],
}


def refusal(talk: Any) -> None:
    talk.hear(status="error", message="not now")


def silence(talk: Any) -> None:
    for _ in range(20):
        talk.ring()
        if talk.of(SegmentDone) or talk.of(AbortLink):
            break


def lose_after_audio(talk: Any) -> None:
    talk.deliver(1)
    talk.lose()


def proof(talk: Any) -> None:
    if talk.session._segments.first.state is SegmentState.WAITING:
        talk.session._segments.first.script.spoken = 2  # as after a lost link
        talk.tell("flush")
    else:
        if talk.session._segments.first.state is SegmentState.REFUSED:
            talk.tell("flush")
        talk.deliver()


SEGMENT_TELLINGS: dict[SegmentInput, Telling] = {
    SegmentInput.TEXT: lambda talk: talk.open(talk.link) if not talk.opens else talk.say("w3 ", flush=False),
    SegmentInput.END: lambda talk: talk.tell("flush"),
    SegmentInput.PROOF: proof,
    SegmentInput.SIGNS: lambda talk: [talk.deliver(5), silence(talk)],
    SegmentInput.STUCK: silence,
    SegmentInput.REFUSAL: refusal,
    SegmentInput.LOST: lambda talk: talk.lose(),
    SegmentInput.CUT_OFF: lose_after_audio,
    SegmentInput.FLUSH: lambda talk: talk.tell("flush"),
    SegmentInput.DROP: lambda talk: talk.tell("cancel"),
}


@pytest.mark.parametrize(("state", "what"), SEGMENTS, ids=lambda value: value.name)
def test_every_cell_of_a_segment(talks: Any, state: SegmentState, what: SegmentInput) -> None:
    early = state is SegmentState.CUT or (state, what) in (
        (SegmentState.SAYING, SegmentInput.CUT_OFF),
        (SegmentState.REFUSED, SegmentInput.CUT_OFF),
        (SegmentState.REFUSED, SegmentInput.PROOF),
    )
    # With continuations audio comes before the end of the text; word times prove the end of what was refused.
    talk = talks(continuations=early, word_timestamps=(state, what) == (SegmentState.REFUSED, SegmentInput.PROOF))
    SEGMENT_WAYS[state](talk)
    if (state, what) == (SegmentState.WAITING, SegmentInput.TEXT):
        talk.tell("send_text", " w2")
    segment = talk.session._segments.first
    assert segment.state is state
    told, taken = len(talk.outputs), []
    take = segment.take

    def record(what: SegmentInput) -> SegmentAction:
        before, action = segment.state, take(what)
        taken.append(((before, what), (action, segment.state)))
        return action

    segment.take = record
    SEGMENT_TELLINGS[what](talk)
    assert ((state, what), SEGMENTS[state, what]) in taken
    action, after = SEGMENTS[state, what]
    new = talk.outputs[told:]
    assert sum(isinstance(output, SpokenSoFar) for output in new) == (action is SegmentAction.TELL)
    assert sum(isinstance(output, SegmentDone) for output in new) == (action is SegmentAction.DONE)
    if after is SegmentState.OVER:
        assert talk.session.idle


UNDER_WAY = (SegmentState.SAYING, SegmentState.ASKED, SegmentState.REFUSED)


def segment_by_the_rules(state: SegmentState, what: SegmentInput) -> tuple[SegmentAction, SegmentState] | None:
    """The table in other words; ``None``: it cannot happen."""
    nothing, over, asked, cut = SegmentAction.NOTHING, SegmentState.OVER, SegmentState.ASKED, SegmentState.CUT
    if state is over:
        return None
    if what is SegmentInput.DROP:  # told, unless the application knows
        return nothing if state is cut else SegmentAction.TELL, over
    if state is cut:  # its text has an end, and that is all that is waited for
        return (nothing, over) if what is SegmentInput.FLUSH else None
    if what is SegmentInput.FLUSH:  # an end that was asked for already is that of the next one
        return None if state is asked else (nothing, state)
    happens = {
        SegmentInput.TEXT: ((SegmentState.WAITING, SegmentState.SAYING), nothing, SegmentState.SAYING),
        SegmentInput.END: ((SegmentState.SAYING,), nothing, asked),
        # What another link has spoken to the end needs none; what is still said has no end that can be proven.
        SegmentInput.PROOF: (
            (SegmentState.WAITING, asked, SegmentState.REFUSED),
            SegmentAction.DONE,
            over,
        ),
        SegmentInput.SIGNS: ((asked,), SegmentAction.DONE, over),
        SegmentInput.STUCK: ((asked,), SegmentAction.GIVE_UP_LINK, asked),
        SegmentInput.REFUSAL: (UNDER_WAY, nothing, SegmentState.REFUSED),
        SegmentInput.LOST: (UNDER_WAY, SegmentAction.REWIND, SegmentState.WAITING),
        # More text may come of one that was not asked for, and has to be passed over.
        SegmentInput.CUT_OFF: (
            UNDER_WAY,
            SegmentAction.TELL,
            over if state is asked else cut,
        ),
    }
    states, action, after = happens[what]
    return (action, after) if state in states else None


@pytest.mark.parametrize("state", SegmentState)
def test_what_happens_to_a_segment_follows_from_the_rules(state: SegmentState) -> None:
    for what in SegmentInput:
        assert SEGMENTS.get((state, what)) == segment_by_the_rules(state, what), what
