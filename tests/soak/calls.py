"""Calls over a bad network to an imperfect service, each from one seed, in virtual time: every word is counted.

python tests/soak/calls.py --seeds 10000     many calls; a failing seed prints how to run it again
python tests/soak/calls.py --seed 4711 -v    one call, told event by event
python tests/soak/calls.py --only twice      those to a service that does this, alone or with others
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

import msgspec

sys.path[:0] = [str(Path(__file__).parents[2])]  # as a script, and as a module

from smallest_proto.config import Endpoint, Timeouts, TranscriptionConfig  # noqa: E402
from smallest_proto.reading import Word  # noqa: E402
from smallest_proto.server.imperfection import Imperfection  # noqa: E402
from smallest_proto.server.recogniser import CodedSpeech, coded_speech  # noqa: E402
from smallest_proto.server.transcription import error_answer  # noqa: E402
from smallest_proto.transcription.session import TranscriptionSession  # noqa: E402
from smallest_transports.memory import FAULTS, MemoryCall, MemoryLink, MemoryNetwork, refuse_next  # noqa: E402
from tests.soak.judge import Call, Tally, faults_of, wrongs_of  # noqa: E402

__all__ = ["Call", "complaint", "faults_of", "run", "said"]

REFUSED = "refused"  # the service of these calls takes no session of this name
MOST_FAULTS = 8  # as many as are forgiven, should each one hit a link before it has been healthy for a while


class Caller(MemoryCall):
    """Gives one part after the other; before each it goes over to the part's sample rate."""

    def __init__(self, session: TranscriptionSession, network: MemoryNetwork, config: TranscriptionConfig) -> None:
        super().__init__(session, network)
        self.config = config
        self.parts: list[CodedSpeech] = []
        self.real_time = True
        self.chunk = 0.02
        self.done = False  # all is given: no more changes
        self.finalized: list[float] = []  # where it finalized, in seconds of the stream

    def end_input(self) -> None:
        if not self.parts:
            self.done = True
            super().end_input()
            return
        part = self.parts.pop(0)
        if part.sample_rate != self.config.sample_rate:
            self.change(sample_rate=part.sample_rate)
        self.feed(part.pcm, real_time=self.real_time, chunk=self.chunk, format=self.config.audio_format)

    def finalize(self) -> None:
        if not self.done and not self.session.ended:
            self.finalized.append(self.session.stats.seconds_given)
            super().finalize()

    def change(self, **options: object) -> None:
        """Update the configuration."""
        if not self.done:
            self.config = msgspec.structs.replace(self.config, **options)
            self.update(self.config)

    def change_in_vain(self) -> None:
        """Ask for what the service refuses."""
        if not self.done:
            self.update(msgspec.structs.replace(self.config, external_session_id=REFUSED))


class Chaos:
    """Plans what happens to a call, and keeps the story of it."""

    def __init__(self, chance: random.Random, network: MemoryNetwork, call: Caller) -> None:
        self.chance, self.network, self.call = chance, network, call
        self.story: list[tuple[float, str]] = []
        self.left = MOST_FAULTS
        self.haste = chance.random() < 0.3  # new links are hit while they catch up
        network.on_link = self._opened

    def plan(self, time: float, name: str, what: Callable[[], object]) -> None:
        def do() -> None:
            self.story.append((self.network.clock.now, name))
            what()

        self.call.at(time, do)

    def faults(self, time: float) -> None:
        """One fault, or several at once."""
        for _ in range(self.chance.choice((1, 1, 1, 2, 3))):
            if self.left:
                self.left -= 1
                self._fault(time)

    def _fault(self, time: float) -> None:
        name = self.chance.choice((*FAULTS, "refuse"))
        if name == "refuse":
            status = self.chance.choice((429, 500, 503))
            self.plan(time, f"refuse {status}", lambda: refuse_next(self.network, status))
        else:
            which = self.chance.choice((-1, -1, -2))  # the newest link, or the one before it
            self.plan(time, name, lambda: [FAULTS[name](link) for link in self.network.links[which:][:1]])

    def _opened(self, link: MemoryLink) -> None:
        if f"external_session_id={REFUSED}" in link.request.query:
            link.refusal = error_answer(400, "no")
        elif self.haste and self.left and link.number > 1:
            self.left -= 1
            name = self.chance.choice(tuple(FAULTS))
            time = self.network.clock.now + self.chance.uniform(0.0, 0.6)
            self.plan(time, f"{name} in catch-up", lambda: FAULTS[name](link))


def script(random: random.Random, numbers: Iterator[int], *, at_once: bool) -> list[int | float]:
    """Words, pauses between turns, now and then a long one; silence at the end, and unless ``at_once`` before it."""
    said: list[int | float] = [] if at_once else [0.3]
    for _ in range(random.randrange(4, 24)):
        said.append(next(numbers))
        if random.random() < 0.25:
            said.append(random.choice((0.4, 0.4, 0.9, 0.9, 1.5, 1.5, 4.0, 7.0)) + random.random())
    if random.random() < 0.1:  # a caller who says nothing for longer than any deadline
        said += [random.uniform(20.0, 100.0), next(numbers), next(numbers)]
    return [*said, 1.0]


def run(seed: int) -> Call:
    """Run the call of ``seed``."""
    chance = random.Random(seed)
    numbers = iter(range(1, 1000))
    imperfection = Imperfection.draw(seed)
    at_once = chance.random() < 0.5 and not imperfection.edges  # else it would damage what is the caller's first word
    parts = [
        coded_speech(script(chance, numbers, at_once=at_once), gap=chance.choice((0.0, 0.05, 0.1)), sample_rate=rate)
        for rate in chance.choice(((16000,), (16000,), (16000,), (8000,), (8000, 16000), (16000, 8000, 48000)))
    ]
    config = TranscriptionConfig(
        sample_rate=parts[0].sample_rate,
        vad_events=chance.random() < 0.6,
        endpointing_timeout=chance.choice((None, 300, 900)),
        max_words=chance.choice((None, None, 3)),
        word_timestamps=chance.random() < 0.8,
    )
    network = MemoryNetwork(
        latency=chance.choice((0.005, 0.03, 0.2)),
        jitter=chance.choice((0.0, 0.05)),
        decode_time=chance.choice((0.0, 0.1, 0.3)),
        seed=seed,
        imperfection=imperfection,
    )
    session = TranscriptionSession(
        config,
        Endpoint(api_key="key", route=chance.choice(("unified", "unified", "model", "direct"))),
        timeouts=Timeouts(last=120.0),  # several faults after the end of the input take their time one after the other
        jitter=network.random.random,
        buffer_seconds=60.0,
    )
    call = Caller(session, network, config)
    call.parts = list(parts)
    call.real_time = chance.random() < 0.8
    call.chunk = chance.choice((0.01, 0.02, 0.05, 0.123))
    words, pauses, seconds = said(parts)
    chaos = Chaos(chance, network, call)
    lasts = seconds if call.real_time else 0.4 * seconds + 0.5  # catch-up is 2.5 times as fast
    for _ in range(chance.randrange(1, 6)):
        chaos.faults(chance.uniform(0.0, lasts + 1.0))
    for _ in range(chance.choice((0, 0, 1, 2, 3))):
        time = chance.uniform(0.0, lasts - 0.2)
        if chance.random() < 0.3:
            chaos.plan(time, "update in vain", call.change_in_vain)
        else:
            punctuate = chance.random() < 0.5
            chaos.plan(time, "update", lambda punctuate=punctuate: call.change(punctuate=punctuate))  # type: ignore[misc]
    if call.real_time:  # else nobody knows when a pause is
        for pause in chance.sample(pauses, chance.randrange(len(pauses) + 1)):
            chaos.plan(pause, "finalize", call.finalize)
        for _ in range(chance.choice((0, 0, 0, 1, 3))):  # and in the middle of a word, perhaps
            chaos.plan(chance.uniform(0.0, lasts - 0.2), "finalize anywhere", call.finalize)
    if chance.random() < 0.05:  # a storm of either for half a second
        begin, every = chance.uniform(0.0, lasts - 0.7), chance.choice((0.01, 0.02))
        finalizes = chance.random() < 0.5
        for at in range(int(0.5 / every)):
            what = call.finalize if finalizes else partial(call.change, punctuate=bool(at % 2))
            chaos.plan(begin + at * every, "storm", what)
    call.start()
    call.end_input()
    events = call.run(limit=900.0)
    return Call(words, seconds, events, session, chaos.story, imperfection, tuple(call.finalized))


def said(parts: list[CodedSpeech]) -> tuple[list[Word], list[float], float]:
    """The words with their times, the middles of the long pauses, and the end: seconds of the stream."""
    words: list[Word] = []
    origin = 0.0
    for part in parts:
        rate = part.sample_rate
        words += [Word(text=w.text, start=origin + w.start / rate, end=origin + w.end / rate) for w in part.words]
        origin += part.seconds
    gaps = [(one.end or 0.0, next_one.start or 0.0) for one, next_one in pairwise(words)]
    return words, [(start + end) / 2 for start, end in gaps if end - start > 0.8], origin


def complaint(seed: int, wrong: Sequence[str]) -> str:
    """What is wrong with the call of ``seed``, and the command that runs it once more and tells all of it."""
    kinds = ", ".join(Imperfection.draw(seed).kinds) or "ideal"
    return f"seed {seed} ({kinds}): {'; '.join(wrong)}\n  again: python tests/soak/calls.py --seed {seed} -v"


def tell(call: Call) -> None:
    """Print all that happened."""
    print(f"{call.imperfection}")
    for time, told in sorted([*call.story, *call.events], key=lambda entry: entry[0]):
        shown = told if isinstance(told, str) else f"{told} {getattr(told, 'text', '')}"
        print(f"{time:9.3f}  {shown}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1000, help="how many calls")
    parser.add_argument("--first", type=int, default=0, help="the seed of the first one")
    parser.add_argument("--seed", type=int, help="one call alone")
    parser.add_argument("--only", help="only calls to a service that is imperfect in this way: twice, rounding=0.1")
    parser.add_argument("--quiet", "-q", action="store_true", help="the table alone")
    parser.add_argument("--verbose", "-v", action="store_true", help="tell every event")
    asked = parser.parse_args()
    seeds = range(asked.first, asked.first + asked.seeds) if asked.seed is None else (asked.seed,)
    tally = Tally()
    links = happenings = 0
    replayed = 0.0
    for seed in seeds:
        if asked.only and asked.only not in (Imperfection.draw(seed).kinds or ("ideal",)):
            continue
        try:
            call = run(seed)
        except Exception:
            print(complaint(seed, ["it raised"]), file=sys.stderr)
            raise
        wrongs = list(wrongs_of(call))
        tally.add(seed, call, wrongs)
        links += len(call.session.stats.links)
        happenings += len(call.story)
        replayed += call.session.stats.seconds_replayed
        if asked.verbose:
            tell(call)
        if wrongs and not asked.quiet:
            print(complaint(seed, [wrong.text for wrong in wrongs]), flush=True)
    print(*tally.lines(), sep="\n")
    total = tally.total
    print(
        f"{total['calls']} calls, {total['words']} words, {happenings} faults and changes, {links} links, "
        f"{replayed:.0f} s replayed: {total['lost']} words lost, {total['repeated']} repeated, "
        f"{total['damaged']} damaged, {total['mistimed']} times wrong, {total['told']} given up and told; "
        f"{total['failed']} calls with anything of it, or a turn unpaired"
    )
    return 1 if total["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
