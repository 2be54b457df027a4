"""Draws the state machines of the core from their tables, into state-machines.md beside this file.

python docs/make_diagrams.py          write the file
python docs/make_diagrams.py --check  fail if the file is not what the tables say
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from smallest_proto.events import EndReason
from smallest_proto.http import exchange
from smallest_proto.link import LINKS
from smallest_proto.server.states import LIVE, REQUESTS, SPEAKING
from smallest_proto.synthesis.states import SEGMENTS, SYNTHESES
from smallest_proto.transcription.handover import HANDOVERS
from smallest_proto.transcription.liveness import TRUST
from smallest_proto.transcription.states import SESSIONS
from smallest_proto.transcription.turns import TURNS
from smallest_proto.values import Name

TARGET = Path(__file__).with_name("state-machines.md")

INTRO = """\
# State machines

<!-- Made by docs/make_diagrams.py from the tables of the core. Change the tables, not this file. -->

What can happen to a session, a link, a turn, a change of options, a segment or an HTTP exchange is one table each, and
so is what happens on the service's side: in a state, an input leads to an action and to the next state. Nothing else in
the code decides it, and these pictures are drawn from it. An arrow says "input / action"; what neither acts nor moves
has none. The grid below a picture has every cell of the table. Where it says `-` there is no cell: that input in that
state is an error and changes nothing.
"""

Table: TypeAlias = Mapping[Any, tuple[Any, Any]]  # {(state, input): (action, next state)}


class Machine(NamedTuple):
    """One table, and what it is for."""

    title: str
    about: str
    table: Table


SESSION = """\
A session is a live transcription, from `start()` to `SessionEnded`. The table says what the application may call when,
and in which ways a session ends; from every stage it takes one `abort()`. Links come and go underneath without a change
of stage. (`smallest_proto/transcription/states.py`)"""

LINK = """\
A link is one connection, from the attempt to open it until it is gone. Its number is never used again, so what a
transport still tells of a link that is gone is ignored. `DRAINING`: `close_stream` is sent, and we wait for the last
final. `CLOSING`: we sent a close frame. (`smallest_proto/link.py`)"""

TURN = """\
A turn is what is said between one `SpeechStarted` and one `SpeechEnded`. The service's voice activity events and its
finals come independently of each other, and either can be missing; the table makes strictly alternating events of them.
`SETTLED`: the turn goes on, and all of it so far is final. `TRAILING`: the turn is over, and its last final
can still come. (`smallest_proto/transcription/turns.py`)"""

TRUSTED = """\
Whether a service that says nothing still hears. Silence alone is not suspicious: only audio that can be a voice, and
for which nothing came back, is. Then a second link is opened beside the first, which goes on; the one that answers
first serves. (`smallest_proto/transcription/liveness.py`)"""

HANDOVER = """\
A change of options, from `update()` to `UpdateRejected` or until it is in use. Options of the same audio format are
tried on a new link while the current one goes on (`TRYING`). Another sample rate or encoding begins a new part of the
stream: the current part is finished first (`FINISHING`), then a link is opened for the next one (`OPENING`).
(`smallest_proto/transcription/handover.py`)"""

EXCHANGE = """\
An exchange is one HTTP request and its one outcome, an answer or a failure; a file is transcribed, a text is spoken and
the voices are listed by one each. A try that failed is `OVER`, and `PAUSED` before the next one where another may help.
`SETTLED`: the outcome is known before the body ends, as with the last of server-sent events. What was still under way
when a try ended is passed over. (`smallest_proto/http/exchange.py`)"""

SYNTHESIS = """\
A synthesis over a socket, from `start()` to `SessionEnded`. The table says what the application may call when, and in
which ways it ends. Its links are those of the table above, its text is a row of segments.
(`smallest_proto/synthesis/states.py`)"""

SEGMENT = """\
A segment is one utterance: the text from the first `send_text()` after a `flush()` up to the next one. Which input a
silence, a `complete` or a lost link is, the evidence decides: what was sent, word times, the length of the audio.
(`smallest_proto/synthesis/states.py`, `smallest_proto/synthesis/segment.py`)

How certain an end is, `SegmentDone.certain` says. In the plain protocol a `complete` proves it, if audio came and no
error after it. With continuations the service marks no end: it is proven only where word times show that the last word
was spoken, and a `complete` or the end of the link came after it. Otherwise it is inferred, and `certain` is false:

- Word times show that the last word was spoken, and no `complete` came: after 0.5 s of silence. Wrong only if the times
  are.
- As many `complete` as there are sentences, the last of them after all of the text was sent, and audio as long as a
  fast speaker needs at least (a second for 20 letters at the natural pace): after 0.5 s of silence. Wrong if the
  service makes more parts of the text than it has sentences, and pauses so long before one of the last.
- Fewer `complete`, and such audio: after as long a silence as the service may hold back text (`max_buffer_delay_ms`),
  and 2 s more. No `complete` after the last text, and such audio: after `Timeouts.audio`, 15 s. Wrong if it pauses
  longer.
- Less audio is never an end: after `Timeouts.audio` the link is given up, and the segment is begun anew or cut off.

An end that is taken too early costs the rest of the audio of that segment, and nothing else: a link whose last end was
inferred is never used again, so that what still comes on it is not taken for a part of the next segment."""

LIVE_SERVICE = """\
One live transcription link, seen from the service. After `close_stream` nothing more is read, and what was sent before
it is still recognised. (`smallest_proto/server/states.py`, `smallest_proto/server/transcription.py`)"""

SOCKET_SERVICE = """\
One synthesis socket, seen from the service: what its host, who has the voice, is doing. The host is asked for one piece
of a text at a time (`Speak`, then `GoOn`), and owes an answer to each, even where a `cancel_request` made the text
unwanted in the meantime. (`smallest_proto/server/states.py`, `smallest_proto/server/synthesis.py`)"""

SOCKET_REQUEST = """\
One request of a synthesis socket, or one context: whether anything of its text can be spoken decides how its end is
answered. (`smallest_proto/server/states.py`, `smallest_proto/server/socket_requests.py`)"""

MACHINES: Sequence[Machine] = (
    Machine("A session", SESSION, SESSIONS),
    Machine("A link", LINK, LINKS),
    Machine("A turn", TURN, TURNS),
    Machine("Trust in a quiet link", TRUSTED, TRUST),
    Machine("A change of options", HANDOVER, HANDOVERS),
    Machine("A synthesis", SYNTHESIS, SYNTHESES),
    Machine("A segment of a synthesis", SEGMENT, SEGMENTS),
    Machine("An HTTP exchange", EXCHANGE, exchange._TABLE),
    Machine("The service's side of a live transcription", LIVE_SERVICE, LIVE),
    Machine("The service's side of a synthesis socket", SOCKET_SERVICE, SPEAKING),
    Machine("The service's side of a request", SOCKET_REQUEST, REQUESTS),
)


def members(table: Table, which: int) -> list[Name]:
    """All states (0) or inputs (1) of a table, in the order in which they are defined."""
    names: type[Name] = type(next(iter(table))[which])
    return list(names)


def action_name(action: Any) -> str:
    """An action in words; empty where nothing is done."""
    if isinstance(action, EndReason):
        return f"end {action.value}"
    if isinstance(action, Name):
        return "" if action.name in ("NOTHING", "GO_ON") else str(action.value)
    return "" if action is None else str(action.__name__).strip("_").replace("_", " ")


def diagram(machine: Machine) -> str:
    """The table as a Mermaid state diagram; what leads from one state to the same other one shares an arrow."""
    states = members(machine.table, 0)
    lines = ["stateDiagram-v2", f"    [*] --> {states[0].name}"]
    for state in states:
        if state.value.upper() != state.name:  # it says more of itself than its name
            lines.append(f"    {state.name}: {state.name}<br/>{plain(state.value)}")
    arrows: dict[tuple[Name, Name], list[str]] = {}
    for (state, what), (action, after) in machine.table.items():
        done = action_name(action)
        if done or state is not after:
            arrows.setdefault((state, after), []).append(f"{what.value} / {done}" if done else str(what.value))
    for (state, after), labels in arrows.items():
        lines.append(f"    {state.name} --> {after.name}: {'<br/>'.join(map(plain, labels))}")
    leaves = {state for state, after in arrows if state is not after}
    lines += [f"    {state.name} --> [*]" for state in states if state not in leaves]
    return "\n".join(["```mermaid", *lines, "```"])


def plain(text: str) -> str:
    """Text without the two characters that end a label in Mermaid."""
    return text.replace(":", ",").replace(";", ",")


def grid(machine: Machine) -> str:
    """The table as a table: a row for each input, a column for each state."""
    states, inputs = members(machine.table, 0), members(machine.table, 1)
    rows = [["input", *(f"`{state.name}`" for state in states)], ["---"] * (len(states) + 1)]
    rows += [[str(what.value), *(cell(machine, state, what) for state in states)] for what in inputs]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def cell(machine: Machine, state: Name, what: Name) -> str:
    if (state, what) not in machine.table:
        return "-"
    action, after = machine.table[state, what]
    done, to = action_name(action), "stays" if after is state else f"`{after.name}`"
    return f"{done}, {to}" if done else to


def document() -> str:
    """The whole file."""
    parts = [INTRO]
    for machine in MACHINES:
        parts.append(f"## {machine.title}\n\n{machine.about}\n\n{diagram(machine)}\n\n{grid(machine)}\n")
    return "\n".join(parts)


def main(arguments: Sequence[str], target: Path = TARGET) -> str | None:
    """Write or check; what is wrong, if anything."""
    if arguments not in ([], ["--check"]):
        return __doc__
    if not arguments:
        target.write_text(document(), "utf-8")
    elif not target.exists() or target.read_text("utf-8") != document():
        return f"{target.name} is not what the tables say: run python docs/make_diagrams.py"
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
