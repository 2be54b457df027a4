"""Calls over a bad network, each from one seed, in virtual time: every word is counted.

    python tests/soak/calls.py --seeds 10000        many calls; a failing seed prints how to run it again
    python tests/soak/calls.py --seed 4711 --trace  one call, told event by event
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from smallest_proto.config import Endpoint, TranscriptionConfig
from smallest_proto.events import (
    AudioLost,
    EndReason,
    Event,
    FinalTranscript,
    SessionEnded,
    SpeechEnded,
    SpeechStarted,
    Usage,
)
from smallest_proto.recognition import CodedSpeech, coded_speech
from smallest_proto.transcription import TranscriptionSession
from smallest_transports.memory import FAULTS, MemoryCall, MemoryNetwork, refuse_next


class Call(NamedTuple):
    """One call, run to its end."""

    speech: CodedSpeech
    events: list[tuple[float, Event]]
    session: TranscriptionSession
    story: list[tuple[float, str]]  # what was done to it, and when
    buffer_seconds: float


def script(random: random.Random) -> Iterator[int | float]:
    """Words, pauses between turns, now and then a long one; silence at the end."""
    for word in range(1, random.randrange(5, 40)):
        yield word
        if random.random() < 0.25:
            yield random.choice((0.4, 0.9, 1.5, 4.0)) + random.random()
    yield 1.0


def run(seed: int) -> Call:
    """Run the call of ``seed``."""
    chance = random.Random(seed)
    speech = coded_speech(script(chance), gap=chance.choice((0.0, 0.05, 0.1)))
    config = TranscriptionConfig(
        vad_events=chance.random() < 0.6,
        endpointing_timeout=chance.choice((None, 300, 900)),
        max_words=chance.choice((None, None, 3)),
    )
    network = MemoryNetwork(
        latency=chance.choice((0.005, 0.03, 0.2)),
        jitter=chance.choice((0.0, 0.05)),
        decode_time=chance.choice((0.0, 0.1, 0.3)),
        seed=seed,
    )
    session = TranscriptionSession(config, Endpoint(api_key="key"), jitter=network.random.random)
    call = MemoryCall(session, network)
    story: list[tuple[float, str]] = []

    def plan(time: float, name: str, what: Callable[[], object]) -> None:
        def do() -> None:
            story.append((network.clock.now, name))
            what()

        call.at(time, do)

    for _ in range(chance.randrange(1, 6)):
        name = chance.choice((*FAULTS, "refuse", "update"))
        time = chance.uniform(0.0, speech.seconds + (-0.2 if name == "update" else 1.0))
        if name == "refuse":
            status = chance.choice((429, 500, 503))
            plan(time, f"refuse {status}", lambda status=status: refuse_next(network, status))  # type: ignore[misc]
        elif name == "update":
            other = msgspec.structs.replace(config, punctuate=chance.random() < 0.5)
            plan(time, "update", lambda other=other: call.update(other))  # type: ignore[misc]
        else:
            fault = FAULTS[name]
            plan(time, name, lambda fault=fault: network.links and fault(network.links[-1]))  # type: ignore[misc]
    call.feed(speech.pcm, chunk=chance.choice((0.01, 0.02, 0.05, 0.123)))
    return Call(speech, call.run(limit=600.0), session, story, 30.0)


def faults_of(call: Call) -> Iterator[str]:
    """Everything about ``call`` that is not as promised."""
    events = [event for _, event in call.events]
    yield from _wrong_words(call.speech, events)
    yield from _wrong_turns(events)
    end = events[-1]
    if not isinstance(end, SessionEnded) or sum(isinstance(event, SessionEnded) for event in events) != 1:
        yield "the session did not end with SessionEnded, once"
    elif end.reason is not EndReason.COMPLETED:
        yield f"the session ended {end.reason.value}: {end.failure}"
    stats = call.session.stats
    told = sum(event.seconds for event in events if isinstance(event, Usage))
    if abs(told - stats.seconds_sent) > 1e-6 or abs(stats.seconds_given - call.speech.seconds) > 1e-6:
        yield f"usage tells of {told} s, sent {stats.seconds_sent} s, given {stats.seconds_given} s"


def _wrong_words(speech: CodedSpeech, events: list[Event]) -> Iterator[str]:
    lost = [(event.start, event.end) for event in events if isinstance(event, AudioLost)]
    rate = speech.sample_rate
    expected = {word.text: word for word in speech.words}
    heard: list[str] = []
    for event in events:
        if not isinstance(event, FinalTranscript):
            continue
        if event.text.split() != [word.text for word in event.words] and not event.provisional:
            yield f"text and words differ: {event.text!r}"
        heard += event.text.split()
        for word in event.words:
            coded = expected.get(word.text)
            if coded is not None and (word.start, word.end) != (coded.start / rate, coded.end / rate):
                if abs((word.start or 0) - coded.start / rate) > 1e-6 or abs((word.end or 0) - coded.end / rate) > 1e-6:
                    yield f"{word.text} is at {word.start}..{word.end}, not {coded.start / rate}..{coded.end / rate}"
    for word in speech.words:
        count = heard.count(word.text)
        excused = any(start < word.end / rate and word.start / rate < end for start, end in lost)
        if count != 1 and not (count == 0 and excused):
            yield f"{word.text} was heard {count} times"
    known = [int(text[1:]) for text in heard if text in expected]
    if known != sorted(known):
        yield f"out of order: {known}"
    if damaged := [text for text in heard if text not in expected]:
        yield f"damaged: {damaged}"
    if lost:
        yield f"lost audio: {lost}"


def _wrong_turns(events: list[Event]) -> Iterator[str]:
    speaking = False
    for event in events:
        if isinstance(event, (SpeechStarted, SpeechEnded)):
            if isinstance(event, SpeechStarted) is speaking:
                yield f"{type(event).__name__} at {event.time} does not alternate"
            speaking = isinstance(event, SpeechStarted)
    if speaking:
        yield "a turn has no end"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many calls")
    parser.add_argument("--first", type=int, default=0, help="the seed of the first one")
    parser.add_argument("--seed", type=int, help="one call alone")
    parser.add_argument("--trace", action="store_true", help="tell every event")
    asked = parser.parse_args()
    seeds = range(asked.first, asked.first + asked.seeds) if asked.seed is None else (asked.seed,)
    failed = links = words = 0
    replayed = 0.0
    for seed in seeds:
        call = run(seed)
        wrong = list(faults_of(call))
        words += len(call.speech.words)
        links += len(call.session.stats.links)
        replayed += call.session.stats.seconds_replayed
        if asked.trace:
            for time, told in sorted([*call.story, *call.events], key=lambda entry: entry[0]):
                shown = told if isinstance(told, str) else f"{told} {getattr(told, 'text', '')}"
                print(f"{time:9.3f}  {shown}")
        if wrong:
            failed += 1
            print(f"seed {seed}: {'; '.join(wrong)}\n  again: python {sys.argv[0]} --seed {seed} --trace")
    print(
        f"{len(seeds)} calls, {words} words over {links} links, {replayed:.0f} s replayed: "
        f"{failed} calls with a word lost, repeated, damaged or mistimed, or a turn unpaired"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
