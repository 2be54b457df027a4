"""Takes back one mend at a time of "nothing said is lost", and sees whether the kit finds the fault.

Each was a fault once, with a recogniser or a network as they really are. The strategies of the kit look first
(``smallest_transports.testing``), then its state machine, then the calls of the soak: each has a minute, and a call
counts where nothing is wrong with it once nothing is taken back. ``make taken-back`` runs it.

python tests/mutants/taken_back.py                    all of them
python tests/mutants/taken_back.py twice vowels       these
python tests/mutants/taken_back.py --seconds 10 -v    sooner, and show what was found
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import msgspec
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, run_state_machine_as_test

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from smallest_proto.config import TranscriptionConfig
from smallest_proto.events import LinkLost
from smallest_proto.server.imperfection import Imperfection
from smallest_transports.memory import MemoryLink, Pipe
from smallest_transports.testing import Call, CallPlan, Fault, Network, Part, PlannedCall, Step
from smallest_transports.testing import strategies as kit
from smallest_transports.testing.judge import Report
from smallest_transports.testing.machine import CallMachine
from tests.mutants import mends
from tests.mutants.mends import Patches, patches
from tests.soak import calls as soak

SECONDS = 60.0  # for each finder
PROMPT = 15.0  # seconds in which finalize() has its event: the bound of a service that says nothing, and the way


# --- what is looked at ---


class Look(NamedTuple):
    """Calls, and what would be wrong with one of them."""

    plans: st.SearchStrategy[CallPlan]
    run: Callable[[CallPlan], Call] = CallPlan.run
    kinds: frozenset[str] = frozenset()  # of what the judge finds; all, if there are none here

    def wrong(self, plan: CallPlan) -> str:
        """What is wrong with the call, or nothing."""
        call = self.run(plan)
        report = call.judge()
        found = [wrong for wrong in report.wrongs if not self.kinds or wrong.kind in self.kinds]
        if found:
            return str(Report(tuple(found), report.words))
        if not plan.network.faults and not plan.steps and any(isinstance(event, LinkLost) for _, event in call.events):
            return "a link was lost, and nothing had happened to it"
        return late_answers(call) if not plan.network.faults else ""


def late_answers(call: Call) -> str:
    """Which finalizes of a call, to whose links nothing happened, waited too long for their events."""
    answers = [time for time, event in call.events if getattr(event, "from_finalize", False)]
    asked = [time for time, done in call.story if done == "finalize"]
    late = [f"{begun:g}" for begun, ended in zip(asked, answers, strict=False) if ended > begun + PROMPT]
    return f"finalizes at {', '.join(late)} s had no event for {PROMPT:g} s" if late else ""


def with_long_speech(plan: CallPlan) -> CallPlan:
    """The same call, in which somebody speaks for some 40 s without a pause."""
    said = " ".join(f"w{number}" for number in range(1, 151))
    return replace(plan, parts=(Part((said, 1.0)),), real_time=True)


def with_a_silence(plan: CallPlan) -> CallPlan:
    """The same call, whose caller says nothing for 40 s before the end."""
    last = plan.parts[-1]
    silent = replace(last, script=(*last.script, 40.0, "w999", 1.0))
    return replace(plan, parts=(*plan.parts[:-1], silent), real_time=True)


def asked_and_dropped(plan: CallPlan, at: float, later: float) -> CallPlan:
    """The same call, with a finalize, and a drop soon after it."""
    dropped = replace(plan.network, faults=(*plan.network.faults, Fault("drop", at=at + later)))
    return replace(plan, steps=(*plan.steps, Step("finalize", at)), network=dropped)


def heard_otherwise(plan: CallPlan, change: Callable[[dict[str, Any]], None], words: Callable[[str], str]) -> Call:
    """Run it at a service whose messages are changed on their way; ``words``: what is said in place of a word."""
    call = plan.make()

    def say(data: str | bytes, plain: Callable[[str | bytes], None]) -> None:
        try:
            message = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            message = None
        if isinstance(message, dict) and isinstance(message.get("words", []), list):
            change(message)
            data = msgspec.json.encode(message).decode()
        plain(data)

    on_each_link(call, lambda link: setattr(link, "say", partial(say, plain=link.say)))
    said = tuple(msgspec.structs.replace(word, text=words(word.text)) for word in call.truth.words)
    call.truth = msgspec.structs.replace(call.truth, words=said)
    return call.finish()


def on_each_link(call: PlannedCall, change: Callable[[MemoryLink], None]) -> None:
    """Change each link when it is opened."""
    opened = call.network.on_link

    def on_link(link: MemoryLink) -> None:
        if opened is not None:
            opened(link)
        change(link)

    call.network.on_link = on_link


def spoken_over(plan: CallPlan) -> Call:
    """Run it at a service in which two speakers overlap: the last word of a final is within the one before it."""

    def overlap(message: dict[str, Any]) -> None:
        words = message.get("words") or []
        if len(words) >= 3:
            before, last = words[-2], words[-1]
            before["end"], last["start"] = last["end"], before["start"] + 0.01
            last["end"] = last["start"] + 0.05

    return heard_otherwise(plan, overlap, str)


def in_devanagari(plan: CallPlan) -> Call:
    """Run it with words that differ by their vowel signs alone."""
    signs = "ािीुूेैोौं"

    def word(text: str) -> str:
        return "".join("क" + signs[int(digit)] for digit in text.strip("w"))

    def spell(message: dict[str, Any]) -> None:
        for name in ("transcript", "transcription"):
            if isinstance(text := message.get(name), str):
                message[name] = re.sub(r"w\d+", lambda found: word(found[0]), text)

    return heard_otherwise(plan, spell, word)


class SlowPipe(Pipe):
    """The service needs 60 ms for each message: a ping is read when its turn comes."""

    _free_at = 0.0

    def put(self, arrive: Callable[[], object]) -> None:
        clock = self._network.clock
        self._free_at = max(self._free_at, clock.now) + 0.06
        clock.at(self._free_at, partial(super().put, arrive))


def read_slowly(plan: CallPlan) -> Call:
    """Run it at a service that reads slower than somebody speaks."""
    call = plan.make()
    on_each_link(call, lambda link: setattr(link, "up", SlowPipe(call.network)))
    return call.finish()


IDEAL = st.just(Imperfection())
NO_FAULTS = st.builds(Network, latency=st.sampled_from((0.03, 0.005, 0.2)))
NO_STEPS: st.SearchStrategy[Any] = st.just(())
NO_TIMES = st.sampled_from((Imperfection(no_times=True), Imperfection(no_times=True, no_interims=True)))
ANSWERS = st.sampled_from(
    [Imperfection(seed=1, **kinds) for kinds in ({"two_answers": True}, {"empty_answer": True}, {"unlabelled": True})]
)
WORDS = frozenset(("lost", "repeated"))

TIMES = kit.imperfections().filter(lambda imperfection: not imperfection.no_times)

ANY = Look(kit.calls())
UNLABELLED = Look(kit.calls(networks=NO_FAULTS, recognisers=st.just(Imperfection(unlabelled=True))).map(with_a_silence))
ASKED = Look(st.builds(asked_and_dropped, kit.calls(recognisers=ANSWERS), kit.times(), kit.times(1.0)))
SILENT = Look(kit.calls(networks=NO_FAULTS, recognisers=TIMES, steps=NO_STEPS).map(with_a_silence))
QUIET_SERVICE = Look(kit.calls(networks=NO_FAULTS, steps=NO_STEPS, words=40))
DEVANAGARI = Look(kit.calls(recognisers=NO_TIMES), in_devanagari, frozenset(("lost",)))
OVERLAPPING = Look(kit.calls(recognisers=IDEAL, steps=NO_STEPS), spoken_over, WORDS)
SLOW = Look(kit.calls(networks=NO_FAULTS, recognisers=IDEAL, steps=NO_STEPS).map(with_long_speech), read_slowly)


class Mend(NamedTuple):
    """One of them, and where to look for its fault."""

    name: str
    fault: str
    take_back: Callable[[Patches], None]
    look: Look = ANY


MENDS = (
    Mend("times", "word times rounded, early or late: words damaged, or told again", mends.exact_times),
    Mend("margin", "times late, finals every few words: words lost", mends.no_margin),
    Mend("cut", "a finalize in mid-word, then a drop: the word lost", mends.cut_is_whole),
    Mend(
        "answers",
        "a finalize answered by two finals, a drop between them: words lost",
        mends.answer_moves_at_once,
        ASKED,
    ),
    Mend("repeats", "an answer of repeated words alone: seconds lost", mends.repeats_move, ASKED),
    Mend("formats", "a change of format after a final without times: a word dropped", mends.formats_share_words),
    Mend("twice", "the same final twice on one link: words told twice", mends.twice_is_two),
    Mend("labels", "an answer without its label: finalize() gets no event", mends.label_is_needed, UNLABELLED),
    Mend("silence", "a caller who is silent: links given up as mute", mends.silence_is_muteness, SILENT),
    Mend("probe", "a question of the session's own cuts words", mends.probe_anywhere, QUIET_SERVICE),
    Mend("overlap", "overlapping speakers: words again", mends.last_word_ends_last, OVERLAPPING),
    Mend("vowels", "words that differ in vowel signs: one lost", mends.vowels_do_not_count, DEVANAGARI),
    Mend("slow", "a slow reader: the link declared dead", mends.pong_is_due_at_once, SLOW),
)


# --- who looks ---


class Found(Exception):
    """A fault, and what shows it."""


class Enough(Exception):
    """The time is up."""


def quick(examples: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=20,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
        report_multiple_bugs=False,
    )


def by_strategies(look: Look, patch: Patches, enough: Callable[[], bool]) -> None:
    @quick(1_000_000)
    @given(plan=look.plans)
    def search(plan: CallPlan) -> None:
        if enough():
            raise Enough
        if shown := told_of(plan, look.wrong, patch):
            raise Found(shown)

    search()


def by_machine(_: Look, patch: Patches, enough: Callable[[], bool]) -> None:
    """What it finds counts where the same calls, as many of them, show nothing once nothing is taken back."""
    shown, calls = by_machine_within(1_000_000, enough)
    with patch.lifted():
        if by_machine_within(calls, enough)[0]:
            raise Enough
    raise Found(shown)


def by_machine_within(calls: int, enough: Callable[[], bool]) -> tuple[str, int]:
    """What is found in so many calls, and after how many."""
    begun = 0

    class Machine(CallMachine):
        @initialize(recogniser=kit.imperfections(most=1), config=kit.configs(), latency=st.sampled_from((0.03, 0.2)))
        def begin(self, recogniser: Imperfection, config: TranscriptionConfig, latency: float) -> None:
            nonlocal begun
            begun += 1
            if enough():
                raise Enough
            super().begin(recogniser, config, latency, 0.1)

        def judged(self, report: Report) -> None:
            if not report.ok:
                raise Found(str(report))

    try:
        run_state_machine_as_test(Machine, settings=quick(calls))
    except Found as found:
        return str(found), begun
    return "", begun


def by_soak(_: Look, patch: Patches, enough: Callable[[], bool]) -> None:
    for seed in count():
        if enough():
            raise Enough
        if shown := told_of(soak.plan(seed), ANY.wrong, patch):
            raise Found(shown)


def told_of(plan: CallPlan, wrong: Callable[[CallPlan], str], patch: Patches) -> str:
    """What is wrong with a call that is as it should be once nothing is taken back; else nothing."""
    try:
        found = wrong(plan)
    except Exception as error:  # the session itself broke
        found = repr(error)
    if found:
        with patch.lifted():
            if wrong(plan):
                return ""
    return f"{plan!r}\n{found}" if found else ""


FINDERS: dict[str, Callable[[Look, Patches, Callable[[], bool]], None]] = {
    "strategies": by_strategies,
    "state machine": by_machine,
    "soak": by_soak,
}


class Result(NamedTuple):
    """What came of one."""

    finder: str  # "": nobody
    shown: str
    seconds: float


def look_for(
    mend: Mend, make_enough: Callable[[], Callable[[], bool]], finders: Sequence[str] = tuple(FINDERS)
) -> Result:
    """Take it back, and let one finder look after the other; ``make_enough`` makes what ends the search of each."""
    began = monotonic()
    for name in finders:
        began = monotonic()
        with patches() as patch:
            mend.take_back(patch)
            try:
                FINDERS[name](mend.look, patch, make_enough())
            except Found as found:
                return Result(name, str(found), monotonic() - began)
            except Enough:
                pass
    return Result("", "", monotonic() - began)


def for_seconds(seconds: float) -> Callable[[], bool]:
    until = monotonic() + seconds
    return lambda: monotonic() >= until


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(mend.name for mend in MENDS)}; all without any")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for each finder")
    parser.add_argument("--verbose", "-v", action="store_true", help="show what was found")
    options = parser.parse_args()
    if unknown := {*options.names} - {mend.name for mend in MENDS}:
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    chosen = [mend for mend in MENDS if not options.names or mend.name in options.names]
    found = 0
    print("| fault | found by | seconds |\n|---|---|---|", flush=True)
    for mend in chosen:
        result = look_for(mend, lambda: for_seconds(options.seconds))
        found += bool(result.finder)
        print(f"| {mend.fault} | {result.finder or 'nobody'} | {result.seconds:.1f} |", flush=True)
        if options.verbose and result.shown:
            print(result.shown, flush=True)
    print(f"{found} of {len(chosen)} found")
    return int(found < len(chosen))


if __name__ == "__main__":
    sys.exit(main())
