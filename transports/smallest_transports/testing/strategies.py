"""Strategies of Hypothesis: calls, networks, recognisers, fragments, messages of a peer, values of options.

::

    from hypothesis import given
    from smallest_transports.testing import strategies as calls_and_more

    @given(plan=calls_and_more.calls())
    def test_my_agent(plan):
        ...

They compose (``calls(networks=..., recognisers=...)``) and shrink: to few words and one fault, at a good network and
an ideal recogniser. Times are multiples of 50 ms, so that an example can be read. A failing ``CallPlan`` is printed as
the line that makes it again; ``plan.run().check()`` adds the time line of the call to what it raises.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

import msgspec
from hypothesis import strategies as st

from smallest_proto.config import TranscriptionConfig
from smallest_proto.endpoint import Route
from smallest_proto.errors import ConfigurationError
from smallest_proto.languages import LIVE_LANGUAGES
from smallest_proto.server.imperfection import OTHERS, TIMES, Imperfection
from smallest_transports.memory import FAULTS

from .calls import CallPlan, Fault, Network, Part, Step
from .speech import join

__all__ = [
    "calls",
    "configs",
    "faults",
    "fragments",
    "good_messages",
    "hostile_messages",
    "imperfections",
    "messages",
    "networks",
    "odd_messages",
    "option_values",
    "recognisers",
    "scripts",
    "steps",
]

GRAIN = 0.05  # seconds: the times in an example
LONGEST = 8.0  # seconds of a call in which something happens: as long as most of the calls are
PAUSES = (0.4, 0.9, 1.5, 4.0, 7.0)  # seconds: in a sentence, between turns, until one asks whether somebody is there
RATES = ((16000,), (8000,), (8000, 16000), (16000, 8000, 48000))
CHUNKS = (0.02, 0.01, 0.05, 0.123)  # seconds: as telephones and browsers send, and one that fits nothing
# What asks of a service in haste: the rest, such as odd messages, harms none.
BREAKS = ("drop", "half-open", "stall", "mute", "internal error", "no last", "going away")


def times(most: float = LONGEST) -> st.SearchStrategy[float]:
    """Seconds from 0 on, in steps of 50 ms."""
    return st.integers(0, int(most / GRAIN)).map(lambda steps: round(steps * GRAIN, 2))


def scripts(*, words: int = 12, at_once: bool = True) -> st.SearchStrategy[tuple[str | float, ...]]:
    """What a caller says, for ``speech``: up to so many words, none of them twice, pauses, and a second of silence.

    It begins with a word, where ``at_once`` allows that, or with a pause.
    """
    pauses = st.none() | st.sampled_from(PAUSES)
    begins = st.sampled_from((None, 0.3)) if at_once else st.just(0.3)
    return st.builds(_script, begins, st.lists(pauses, min_size=1, max_size=words))


def _script(before: float | None, pauses: Sequence[float | None]) -> tuple[str | float, ...]:
    """Words with a pause, or none, after each."""
    script: list[str | float] = [] if before is None else [before]
    sentence: list[str] = []
    for number, pause in enumerate(pauses, 1):
        sentence.append(f"w{number}")
        if pause is not None:
            script += [" ".join(sentence), pause]
            sentence = []
    return (*script, *([" ".join(sentence)] if sentence else []), 1.0)


def faults(names: Sequence[str] = (*BREAKS, *sorted(set(FAULTS) - {*BREAKS}))) -> st.SearchStrategy[Fault]:
    """One thing that happens to a call: at a time, at a byte that is sent, or soon after a link was opened again."""
    named = st.sampled_from(names)
    bytes_sent = st.integers(1, 32000 * int(LONGEST))
    return st.one_of(
        st.builds(Fault, named, at=times(), back=st.sampled_from((0, 0, 1))),
        st.builds(Fault, st.just("drop"), byte=bytes_sent),
        st.builds(Fault, named, after=times(0.6)),
        st.builds(Fault, st.sampled_from(("refuse:503", "refuse:429", "refuse:500")), at=times()),
    )


def networks(*, most: int = 4, faults: st.SearchStrategy[Fault] = faults()) -> st.SearchStrategy[Network]:  # noqa: B008
    """The way to the service, with up to so many ``faults``. A session forgives eight in a row."""
    return st.builds(
        Network,
        latency=st.sampled_from((0.03, 0.005, 0.2)),
        jitter=st.sampled_from((0.0, 0.05)),
        decode_time=st.sampled_from((0.1, 0.0, 0.3)),
        seed=st.integers(0, 99),
        faults=st.lists(faults, max_size=most).map(tuple),
    )


def imperfections(*, most: int = 4) -> st.SearchStrategy[Imperfection]:
    """Services as they really are: ideal, or imperfect in up to so many ways at once; the times of words in one."""
    kinds = st.lists(st.sampled_from(OTHERS), max_size=most)
    return st.builds(_imperfection, st.integers(0, 99), st.sampled_from(TIMES), kinds)


recognisers = imperfections  # the same by the name of what is imperfect


def _imperfection(seed: int, times: dict[str, Any], kinds: Sequence[dict[str, Any]]) -> Imperfection:
    fields = dict(times)
    for kind in kinds:
        fields.update(kind)
    return Imperfection(seed=seed if fields else 0, **fields)


def configs() -> st.SearchStrategy[TranscriptionConfig]:
    """Options that change what a service says, and when; all of them are fit for coded audio."""
    return st.builds(
        TranscriptionConfig,
        vad_events=st.sampled_from((True, False)),  # as usual first: examples shrink to it
        endpointing_timeout=st.sampled_from((None, 300, 900)),
        max_words=st.sampled_from((None, None, 3)),
    )


def steps(*, most: int = 3) -> st.SearchStrategy[tuple[Step, ...]]:
    """What the application does beside giving audio: finalizes, updates, and updates that are refused."""
    return st.lists(
        st.one_of(
            st.builds(Step, st.just("finalize"), times()),
            st.builds(
                Step, st.just("update"), times(), st.booleans().map(lambda punctuate: (("punctuate", punctuate),))
            ),
            st.builds(Step, st.just("update in vain"), times()),
        ),
        max_size=most,
    ).map(tuple)


def calls(
    *,
    networks: st.SearchStrategy[Network] = networks(),  # noqa: B008
    recognisers: st.SearchStrategy[Imperfection] = imperfections(),  # noqa: B008
    configs: st.SearchStrategy[TranscriptionConfig] = configs(),  # noqa: B008
    steps: st.SearchStrategy[tuple[Step, ...]] = steps(),  # noqa: B008
    words: int = 12,
) -> st.SearchStrategy[CallPlan]:
    """Whole calls. Give what yours are to be drawn from; ``words`` is the most in one audio format.

    The times of faults and steps are counted from one of the last words, or from the beginning: so an example keeps
    what fails in it when words before that are taken out.
    """

    def make(
        rates: Sequence[int], script: tuple[str | float, ...], recogniser: Imperfection, word: int, **more: Any
    ) -> CallPlan:
        if recogniser.edges and isinstance(script[0], str):
            script = (0.3, *script)  # such a service would damage what is the caller's first word
        parts = tuple(Part(_numbered(script, 100 * at), rate) for at, rate in enumerate(rates))
        return _moved(CallPlan(parts, recogniser=recogniser, **more), word)

    return st.builds(
        make,
        st.sampled_from(RATES),
        scripts(words=words),
        recognisers,
        st.sampled_from((1, 1, 2, 3, 0)),
        chunk=st.sampled_from(CHUNKS),
        real_time=st.sampled_from((True, True, True, False)),
        config=configs,
        route=st.sampled_from(get_args(Route)),
        steps=steps,
        network=networks,
    )


def _moved(plan: CallPlan, word: int) -> CallPlan:
    """The same with its times counted from the start of so many a word before the end, or of the call (0)."""
    said = join(plan.speeches()).words
    begin = said[max(0, len(said) - word)].start if word and said else 0.0

    def later(one: Any) -> Any:
        return one if one.at is None else replace(one, at=round((begin or 0.0) + one.at, 3))

    network = replace(plan.network, faults=tuple(map(later, plan.network.faults)))
    return replace(plan, network=network, steps=tuple(map(later, plan.steps)))


def _numbered(script: tuple[str | float, ...], origin: int) -> tuple[str | float, ...]:
    """Other words, each by so much on."""
    if not origin:
        return script
    return tuple(
        " ".join(f"w{int(word[1:]) + origin}" for word in item.split()) if isinstance(item, str) else item
        for item in script
    )


def fragments(data: bytes) -> st.SearchStrategy[list[bytes]]:
    """``data`` in pieces, as it can come from a socket: all at once, in many pieces, byte by byte; none is empty."""
    if len(data) < 2:
        return st.just([data] if data else [])
    cuts = st.lists(st.integers(1, len(data) - 1), max_size=8).map(lambda found: sorted({*found}))
    every = st.sampled_from((1, 2, 3, 7)).map(lambda step: list(range(step, len(data), step)))
    return st.one_of(cuts, every).map(
        lambda at: [data[start:end] for start, end in zip([0, *at], [*at, len(data)], strict=True)]
    )


# --- what a peer says ---

SECRET = "sesame"  # said in every transcript: no repr may hold it

_odd_times = st.one_of(st.none(), st.floats(-1.0, 8.0), st.floats(allow_nan=True), st.integers(), st.just("1.5"))
_json_values = st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=5), st.lists, max_leaves=5)


def good_messages(said: str = SECRET) -> st.SearchStrategy[dict[str, Any]]:
    """Transcriptions as the service says them, with times, and its signs of voice activity."""
    spans = st.tuples(times(), times(0.5)).map(lambda span: (span[0], round(span[0] + span[1] + GRAIN, 2)))
    words = st.lists(spans, max_size=3).map(
        lambda found: [{"word": said, "start": start, "end": end} for start, end in sorted(found)]
    )
    final = st.builds(_transcription, words, st.booleans(), st.booleans(), st.booleans())
    voice = st.fixed_dictionaries({"type": st.sampled_from(("speech_started", "speech_ended")), "timestamp": times()})
    return st.one_of(final, final, voice)


def _transcription(words: list[dict[str, Any]], final: bool, answer: bool, over: bool) -> dict[str, Any]:
    text = " ".join(word["word"] for word in words)
    flags = {"is_final": final, "from_finalize": final and answer, "speech_final": final and over}
    return {"type": "transcription", "transcript": text, "words": words, **flags}


def odd_transcriptions(said: str = SECRET) -> st.SearchStrategy[dict[str, Any]]:
    """Transcriptions whose fields are of other types, or have values that cannot be."""
    flags: st.SearchStrategy[Any] = st.sampled_from((True, False, None, 1, "true", []))
    word = st.fixed_dictionaries({"word": st.just(said), "start": _odd_times, "end": _odd_times})
    words = st.lists(word, max_size=3)
    return st.fixed_dictionaries(
        {"transcript": st.sampled_from((said, f"{said} {said}", "", ".", None, 7))},
        optional={
            "is_final": flags,
            "is_last": st.sampled_from((False, False, True, None)),
            "from_finalize": flags,
            "speech_final": flags,
            "words": st.one_of(words, st.none(), st.just("none")),
            "session_id": st.sampled_from(("one", "another", None)),
        },
    )


def odd_messages(said: str = SECRET) -> st.SearchStrategy[str]:
    """JSON that a service could say: fields missing, of other types, unknown; errors."""
    voice = st.fixed_dictionaries(
        {"type": st.sampled_from(("speech_started", "speech_ended")), "timestamp": _odd_times}
    )
    told: tuple[Any, ...] = (
        {"type": "pong"},
        {"type": "error", "status": "400", "message": said},
        {"error": said},
        [],
        1,
    )
    keys = st.sampled_from(("type", "transcript", "words", "error", "timestamp"))
    others = st.one_of(st.sampled_from(told), st.dictionaries(keys, _json_values, max_size=3))
    odd = odd_transcriptions(said)
    return st.one_of(odd.map(json.dumps), odd.map(json.dumps), voice.map(json.dumps), others.map(json.dumps))


def hostile_messages() -> st.SearchStrategy[str | bytes]:
    """What no service says: no JSON, JSON that is deep or long, bytes where text belongs."""
    deep = st.integers(1, 3000).map(lambda depth: "[" * depth)
    long = st.integers(1, 400).map(lambda digits: '{"words":[{"word":"a","start":1e' + "9" * digits + "}]}")
    return st.one_of(st.text(max_size=10), st.binary(max_size=10), deep, long, st.just('{"transcript":"\\ud800"}'))


def messages(said: str = SECRET) -> st.SearchStrategy[str | bytes]:
    """Anything that can come: good, odd, hostile."""
    return st.one_of(good_messages(said).map(json.dumps), odd_messages(said), odd_messages(said), hostile_messages())


# --- options ---


def option_values(config: type[Any] = TranscriptionConfig) -> st.SearchStrategy[dict[str, Any]]:
    """Values for the fields of a configuration: for each a good one or a wrong one, some of them at their bounds.

    Make one of them, ``config(**values)``: it stands, or it is refused with ``ConfigurationError``, and nothing else.
    """
    wrong: st.SearchStrategy[Any] = st.sampled_from((None, "", "true", -1, 0, 1, 0.5, float("nan"), 10**30, [], b"x"))
    good: dict[str, st.SearchStrategy[Any]] = {
        "language": st.sampled_from(sorted(LIVE_LANGUAGES)),
        "sample_rate": st.sampled_from((8000, 16000, 24000, 44100, 48000)),
    }
    fields = {field.name: field for field in msgspec.structs.fields(config)}
    values = {name: st.one_of(good.get(name, st.booleans()), st.text(max_size=5), wrong) for name in sorted(fields)}
    return st.fixed_dictionaries({}, optional=values)


def stands(config: type[Any], values: dict[str, Any]) -> Any:
    """``config(**values)``, or ``None`` where it is refused as it should be."""
    try:
        return config(**values)
    except ConfigurationError:
        return None
