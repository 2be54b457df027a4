"""Calls over a bad network to an imperfect service, each from one seed, in virtual time: every word is counted.

python tests/soak/calls.py --seeds 10000     many calls; a failing seed prints how to run it again
python tests/soak/calls.py --seed 4711 -v    one call, told event by event
python tests/soak/calls.py --only twice      those to a service that does this, alone or with others
"""

from __future__ import annotations

import argparse
import dataclasses
import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence

from smallest_proto.config import TranscriptionConfig
from smallest_proto.server.imperfection import Imperfection
from smallest_transports.memory import FAULTS
from smallest_transports.testing import Call, CallPlan, Fault, Network, Part, Step, Wrong, join
from smallest_transports.testing.calls import pauses

MOST_FAULTS = 8  # as many as are forgiven, should each one hit a link before it has been healthy for a while
WORD_FAULTS = ("lost", "repeated", "damaged", "mistimed", "told")  # told: with AudioLost


class Chaos:
    """Draws what happens to a call."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.faults: list[Fault] = []
        self.steps: list[Step] = []
        self.left = MOST_FAULTS
        self.haste = chance.random() < 0.3  # new links are hit while they catch up

    def several(self, time: float) -> None:
        """One fault, or several at once."""
        for _ in range(self.chance.choice((1, 1, 1, 2, 3))):
            if self.left:
                self.left -= 1
                self.one(time)

    def one(self, time: float) -> None:
        name = self.chance.choice((*FAULTS, "refuse", *6 * ("drop",)))  # most others do little
        if name == "refuse":
            self.faults.append(Fault(f"refuse:{self.chance.choice((429, 500, 503))}", at=time))
        else:
            self.fault(name, time)

    def fault(self, name: str, time: float) -> None:
        """It happens to the newest link, or to the one before it."""
        self.faults.append(Fault(name, at=time, back=self.chance.choice((0, 0, 1))))

    def step(self, do: str, time: float, **options: object) -> None:
        self.steps.append(Step(do, time, tuple(options.items())))

    def changes(self, lasts: float) -> None:
        """Updates, a few of them refused."""
        for _ in range(self.chance.choice((0, 0, 1, 2, 3))):
            time = self.chance.uniform(0.0, lasts - 0.2)
            if self.chance.random() < 0.3:
                self.step("update in vain", time)
            else:
                self.step("update", time, punctuate=self.chance.random() < 0.5)

    def finalizes(self, in_pauses: list[float], lasts: float) -> None:
        """In pauses, and in the middle of a word, perhaps; and the answer may not come, or not all of it."""
        for pause in self.chance.sample(in_pauses, self.chance.randrange(len(in_pauses) + 1)):
            self.step("finalize", pause)
        for _ in range(self.chance.choice((0, 0, 0, 1, 3))):
            time = self.chance.uniform(0.0, lasts - 0.2)
            self.step("finalize", time)
            if self.chance.random() < 0.5:
                self.fault("drop", time + self.chance.uniform(0.0, 0.8))

    def storm(self, lasts: float) -> None:
        """Half a second of finalizes, or of updates."""
        if self.chance.random() >= 0.05:
            return
        begin, every = self.chance.uniform(0.0, lasts - 0.7), self.chance.choice((0.01, 0.02))
        finalizes = self.chance.random() < 0.5
        for at in range(int(0.5 / every)):
            if finalizes:
                self.step("finalize", begin + at * every)
            else:
                self.step("update", begin + at * every, punctuate=bool(at % 2))

    def catch_up(self) -> None:
        """In haste each new link has a fault."""
        while self.haste and self.left:
            self.left -= 1
            self.faults.append(Fault(self.chance.choice(tuple(FAULTS)), after=self.chance.uniform(0.0, 0.6)))


def script(random: random.Random, numbers: Iterator[int], *, at_once: bool) -> tuple[str | float, ...]:
    """Words, pauses between turns, now and then a long one; silence at the end, and unless ``at_once`` before it."""
    said: list[str | float] = [] if at_once else [0.3]
    for _ in range(random.randrange(4, 24)):
        said.append(f"w{next(numbers)}")
        if random.random() < 0.25:
            said.append(random.choice((0.4, 0.4, 0.9, 0.9, 1.5, 1.5, 4.0, 7.0)) + random.random())
    if random.random() < 0.1:  # a caller who says nothing for longer than any deadline
        said += [random.uniform(20.0, 100.0), f"w{next(numbers)}", f"w{next(numbers)}"]
    return (*said, 1.0)


def plan(seed: int) -> CallPlan:
    """The call of ``seed``."""
    chance = random.Random(seed)
    numbers = iter(range(1, 1000))
    imperfection = Imperfection.draw(seed)
    at_once = chance.random() < 0.5 and not imperfection.edges  # else it would damage what is the caller's first word
    parts = []
    for rate in chance.choice(((16000,), (16000,), (16000,), (8000,), (8000, 16000), (16000, 8000, 48000))):
        said = script(chance, numbers, at_once=at_once)
        parts.append(Part(said, rate, gap=chance.choice((0.0, 0.05, 0.1))))
    config = TranscriptionConfig(
        vad_events=chance.random() < 0.6,
        endpointing_timeout=chance.choice((None, 300, 900)),
        max_words=chance.choice((None, None, 3)),
        word_timestamps=chance.random() < 0.8,
    )
    latency, jitter = chance.choice((0.005, 0.03, 0.2)), chance.choice((0.0, 0.05))
    decode_time = chance.choice((0.0, 0.1, 0.3))
    route = chance.choice(("unified", "unified", "model", "direct"))
    real_time = chance.random() < 0.8
    made = CallPlan(
        parts=tuple(parts),
        chunk=chance.choice((0.01, 0.02, 0.05, 0.123)),
        real_time=real_time,
        config=config,
        route=route,
        recogniser=imperfection,
    )
    truth = join(made.speeches())
    chaos = Chaos(chance)
    lasts = truth.seconds if real_time else 0.4 * truth.seconds + 0.5  # catch-up is 2.5 times as fast
    for _ in range(chance.randrange(1, 6)):
        chaos.several(chance.uniform(0.0, lasts + 1.0))
    chaos.changes(lasts)
    if real_time:  # else nobody knows when a pause is
        chaos.finalizes(pauses(truth), lasts)
    chaos.storm(lasts)
    chaos.catch_up()
    network = Network(latency, jitter, decode_time, seed, tuple(chaos.faults))
    return dataclasses.replace(made, steps=tuple(chaos.steps), network=network)


def run(seed: int) -> Call:
    """Run the call of ``seed``."""
    return plan(seed).run()


def complaint(seed: int, wrong: object) -> str:
    """What is wrong with the call of ``seed``, and the command that runs it once more and tells all of it."""
    kinds = ", ".join(Imperfection.draw(seed).kinds) or "ideal"
    return f"seed {seed} ({kinds}): {wrong}\n  again: python tests/soak/calls.py --seed {seed} -v"


def tell(call: Call) -> None:
    """Print all that happened."""
    print(f"{call.plan!r}\n{call.timeline()}")


class Tally:
    """What was wrong with many calls, by the kinds of imperfection that they had."""

    def __init__(self) -> None:
        self._rows: dict[str, Counter[str]] = {}
        self._seeds: dict[str, list[int]] = {}
        self.total: Counter[str] = Counter()

    def add(self, seed: int, call: Call, wrongs: Sequence[Wrong]) -> None:
        """Count one call."""
        counts = Counter(wrong.kind if wrong.kind in WORD_FAULTS else "else" for wrong in wrongs)
        counts.update(calls=1, words=len(call.truth.words), failed=int(bool(wrongs)))
        kinds = call.truth.imperfection.kinds or ("ideal",)
        for kind in kinds if len(kinds) == 1 else [f"+ {kind}" for kind in kinds]:
            self._rows.setdefault(kind, Counter()).update(counts)
            if wrongs:
                self._seeds.setdefault(kind, []).append(seed)
        self.total.update(counts)

    def lines(self) -> Iterator[str]:
        """A table: a line for each kind, first where it was the only one, then (+) in company."""
        columns = ("calls", "words", *WORD_FAULTS, "else", "failed")
        yield "| imperfection | " + " | ".join(columns) + " | seeds that failed |"
        yield "|---" * (len(columns) + 2) + "|"
        for kind, counts in sorted(self._rows.items(), key=lambda row: (row[0].startswith("+"), row[0])):
            seeds = " ".join(map(str, self._seeds.get(kind, [])[:4]))
            yield f"| {kind} | " + " | ".join(str(counts[column]) for column in columns) + f" | {seeds} |"


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
            print(complaint(seed, "it raised"), file=sys.stderr)
            raise
        report = call.judge()
        wrongs = report.wrongs
        tally.add(seed, call, wrongs)
        links += len(call.session.stats.links)
        happenings += len(call.story)
        replayed += call.session.stats.seconds_replayed
        if asked.verbose:
            tell(call)
        if wrongs and not asked.quiet:
            print(complaint(seed, report), flush=True)
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
