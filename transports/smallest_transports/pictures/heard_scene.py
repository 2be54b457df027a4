"""A live transcription as a picture."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

from .links_scene import links
from .model import Final, Heard
from .scene import Clock, Figure, Scene, Stage, length

_AUDIO, _PLOT = 46.0, 96.0  # pixels

LEGEND = (
    ("fresh", "audio sent"),
    ("again", "audio sent again"),
    ("final", "final, where it was said"),
    ("interim", "interim, when it was heard"),
    ("given", "audio given"),
    ("watermark", "watermark: all before it is final"),
    ("lost", "lost"),
)


def heard_scene(call: Heard) -> Scene:
    """From top to bottom: audio, turns, what the application asked, links, places, words, finals, arrivals."""
    stage, when = Stage(), Clock(call.given).when
    audio = _audio(stage, call, when)
    _asked(stage, call)
    tops = links(stage, call)
    _repeated(stage, call, tops, audio, when)
    _places(stage, call)
    _finals(stage, call, when)
    return stage.scene(call, "Transcription", call.seconds, _figures(call), LEGEND)


def _figures(call: Heard) -> tuple[Figure, ...]:
    lost = sum(link.lost for link in call.links)
    spoken = [final for final in call.finals if final.count]
    late = [final.latency for final in spoken if final.latency is not None]
    figures = [
        Figure("Audio given", length(call.seconds_given)),
        Figure("Lost", length(call.seconds_lost) if call.seconds_lost else "nothing", bad=call.seconds_lost > 0),
        Figure("Links", str(len(call.links)), f"{lost} lost" if lost else "none lost", bad=lost > 0),
        Figure("Sent again", length(call.seconds_again)),
        Figure("Finals", str(len(spoken)), f"{sum(final.count for final in spoken)} words"),
    ]
    if late:
        figures.append(Figure("Final after", f"{median(late):.2f} s", f"at most {max(late):.2f} s"))
    if call.asks:
        answered = sum(ask.answered is not None for ask in call.asks)
        figures.append(Figure("Finalizes", str(len(call.asks)), f"{answered} answered", bad=answered < len(call.asks)))
    return tuple(figures)


def _audio(stage: Stage, call: Heard, when: Callable[[float], float]) -> float:
    """The audio with what of it is lost, and the turns; returns its lower edge."""
    y = stage.lane("Audio given", _AUDIO, gap=4)
    if call.given:
        stage.add("level", "level", call.given[0][0], y=y, h=_AUDIO, text=call.level, points=call.given)
    for loss in call.losses:
        tip = f"audio from {loss.start:.2f} to {loss.end:.2f} s is lost: {loss.reason}"
        stage.bar("loss", when(loss.start), when(loss.end), y, _AUDIO, "lost", tip=tip, at=loss.at)
    if call.turns:
        turns = stage.lane("Turns", 12)
        for turn in call.turns:
            end = call.seconds if turn.end is None else when(turn.end)
            until = "goes on" if turn.end is None else f"to {turn.end:.2f} s"
            how = ", inferred from the transcript" if turn.inferred else ""
            tip = f"a turn from {turn.start:.2f} s of the audio {until}{how}"
            stage.bar("turn", when(turn.start), end, turns, 12, tip=tip, at=turn.told)
    else:
        stage.y += 6
    return y + _AUDIO


def _asked(stage: Stage, call: Heard) -> None:
    if not call.asks and not call.notes:
        return
    y = stage.lane("Application", 16)
    for ask in call.asks:
        answered = "not answered" if ask.answered is None else f"answered {ask.answered - ask.at:.2f} s later"
        tip = f"finalize at {ask.place:.2f} s of the audio, {answered}"
        stage.bar(
            "asks", ask.at, call.seconds if ask.answered is None else ask.answered, y + 2, 12, "finalize", tip=tip
        )
    for note in call.notes:
        stage.sign("lost" if note.bad else "asks", "flag", note.at, y + 8, note.text)


def _repeated(stage: Stage, call: Heard, tops: dict[int, float], audio: float, when: Callable[[float], float]) -> None:
    """What a link was sent again, joined to where it was given."""
    for link in call.links:
        for run in link.runs:
            if run.again:
                (a, begins), (b, ends) = run.points[0], run.points[-1]
                y = tops[link.link] + 4
                shape = ((when(begins), audio), (when(ends), audio), (b, y), (a, y))
                stage.add("shape", "ribbon", min(a, shape[0][0]), points=shape)
                stage.bar("origin", when(begins), when(ends), audio - 3, 3)


def _places(stage: Stage, call: Heard) -> None:
    """How far the audio was given, sent, and final, over time."""
    y = stage.lane("Place in audio", _PLOT)
    if call.given:
        stage.add("plot", "given", call.given[0][0], y=y, h=_PLOT, points=call.given)
    for link in call.links:
        for run in link.runs:
            look = "again" if run.again else "fresh"
            stage.add("plot", look, run.points[0][0], y=y, h=_PLOT, points=run.points)
    stage.add("plot", "watermark", 0.0, y=y, h=_PLOT, points=call.watermark)


def _finals(stage: Stage, call: Heard, when: Callable[[float], float]) -> None:
    words = stage.lane("Words", 16, gap=3) if any(final.words for final in call.finals) else 0.0
    finals = stage.lane("Finals", 22, gap=20)
    heard = stage.lane("Heard", 16)
    for interim in call.interims:
        told = f": “{interim.text}”" if interim.text and call.private else ""
        stage.add("rule", "interim", interim.at, y=heard, h=16, tip=f"interim{told}")
    for final in call.finals:
        for word in final.words:
            stage.bar("word", when(word.start), when(word.end), words, 16, word.text, least=3)
        a, b, tip = when(final.start), when(final.end), about(final, private=call.private)
        if final.count:
            stage.bar(
                "provisional" if final.provisional else "final",
                a,
                b,
                finals,
                22,
                final.text.strip(),
                tip=tip,
                at=final.at,
            )
            stage.add("join", "late", b, points=((b, finals + 22), (final.at, heard)))
        look = "final" if final.count else "asks"
        stage.sign(look, "diamond", final.at, heard + 8, "" if final.count else tip)


def about(final: Final, *, private: bool) -> str:
    """A final in a line."""
    what = [
        "provisional final" if final.provisional else "final",
        *(["that answers a finalize"] if final.answers else []),
        *(["that ends the stream"] if final.last else []),
    ]
    said = f"“{final.text.strip()}”" if private and final.text.strip() else f"{final.count} words"
    if not final.count:
        return f"{' '.join(what)}, empty"
    late = f", {final.latency:.2f} s after its last sample was sent" if final.latency is not None else ""
    return f"{' '.join(what)}, {final.start:.2f}–{final.end:.2f} s of the audio{late}: {said}"
