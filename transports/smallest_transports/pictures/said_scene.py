"""A speech over a socket as a picture."""

from __future__ import annotations

from collections.abc import Sequence

from .links_scene import links
from .model import Point, Said, Segment
from .scene import Clock, Figure, Scene, Stage, length, place_at

_AUDIO, _PLOT = 46.0, 72.0  # pixels
_PIECE = 0.4  # seconds: the room of a piece of text that no other follows

LEGEND = (
    ("fresh", "text sent, audio received"),
    ("again", "text sent again"),
    ("given", "audio received"),
    ("watermark", "audio heard, if it is played at once"),
    ("final", "spoken"),
    ("unspoken", "not spoken"),
    ("lost", "lost, or cancelled"),
)


def said_scene(call: Said) -> Scene:
    """The lanes from top to bottom: text, links, audio received and heard, the speech, its words, its segments."""
    stage = Stage()
    _texts(stage, call)
    links(stage, call)
    _received(stage, call)
    _speech(stage, call)
    heard = (_until(segment.heard, segment.stopped) for segment in call.segments)
    end = max([call.seconds, *(track[-1][0] for track in heard if track)])
    for at in call.cancels:
        stage.add("rule", "cancel", at, y=20.0, h=stage.y - 20, tip="cancel (barge-in)")
    return stage.scene(call, "Speech", end, _figures(call), LEGEND)


def _figures(call: Said) -> tuple[Figure, ...]:
    lost = sum(link.lost for link in call.links)
    over = [segment for segment in call.segments if segment.over is not None]
    cut = sum(not segment.whole for segment in over)
    first = next((segment for segment in call.segments if segment.first is not None), None)
    figures = [
        Figure("Audio", length(sum(segment.seconds for segment in call.segments))),
        Figure("Segments", str(len(call.segments)), f"{cut} cut off" if cut else "all whole" if over else "", cut > 0),
        Figure("Words", str(sum(len(segment.words) for segment in call.segments)), "with times"),
        Figure("Links", str(len(call.links)), f"{lost} lost" if lost else "none lost", bad=lost > 0),
    ]
    if first is not None and first.first is not None:
        figures.append(Figure("First sound", f"{first.first - first.given:.2f} s", "after its first text"))
    if call.cancels:
        figures.append(Figure("Barge-in", str(len(call.cancels))))
    return tuple(figures)


def _texts(stage: Stage, call: Said) -> None:
    y = stage.lane("Text given", 20)
    times = [piece.at for piece in call.pieces]
    for number, piece in enumerate(call.pieces):
        after = times[number + 1] if number + 1 < len(times) else piece.at + _PIECE
        tip = f"text for segment {piece.segment}" + (f": “{piece.text}”" if piece.text else "")
        stage.bar("piece", piece.at, min(after, piece.at + _PIECE), y, 20, piece.text.strip(), tip=tip)
    for at in call.flushes:
        stage.sign("asks", "down", at, y + 10, "flush: the segment has all its text")
    for note in call.notes:
        stage.sign("asks", "flag", note.at, y + 10, note.text)


def _received(stage: Stage, call: Said) -> None:
    """Seconds of audio that are here, and those that would be heard by then."""
    y, before = stage.lane("Seconds of audio", _PLOT), 0.0
    received: list[Point] = []
    for link in call.links:
        if link.heard:
            received += [(link.heard[0][0], before), *((at, before + seconds) for at, seconds in link.heard)]
        before += link.heard[-1][1] if link.heard else 0.0
    if received:
        stage.add("plot", "given", received[0][0], y=y, h=_PLOT, points=tuple(received))
    before = 0.0
    for segment in call.segments:
        track = _until(segment.heard, segment.stopped)
        if track:
            points = tuple((at, before + seconds) for at, seconds in track)
            stage.add("plot", "watermark", points[0][0], y=y, h=_PLOT, points=points)
        before += segment.seconds


def _until(track: Sequence[Point], stop: float | None) -> tuple[Point, ...]:
    """What of a track is before a barge-in."""
    if stop is None or not track:
        return tuple(track)
    if stop <= track[0][0]:
        return ()
    return (*(point for point in track if point[0] < stop), (stop, place_at(track, stop)))


def _speech(stage: Stage, call: Said) -> None:
    audio = stage.lane("Speech, as heard", _AUDIO, gap=3)
    words = stage.lane("Words", 16, gap=3)
    segments = stage.lane("Segments", 22)
    begun = [segment.heard[0][0] for segment in call.segments if segment.heard]
    for segment in call.segments:
        tip, told = about(segment), segment.given if segment.over is None else segment.over
        track = _until(segment.heard, segment.stopped)
        if len(track) > 1:
            begins, ends = track[0][0], track[-1][0]
            stage.add("level", "level", begins, y=audio, h=_AUDIO, text=segment.level, points=track)
            _words(stage, segment, words)
            stage.bar("final", begins, ends, segments, 22, segment.spoken or _all(segment), tip=tip, at=told)
            if segment.stopped is not None:
                room = min((at for at in begun if at >= ends), default=segment.heard[-1][0])
                rest = f"a barge-in: {segment.heard[-1][0] - ends:.2f} s of segment {segment.number} are not heard"
                until = min(room, segment.heard[-1][0])
                stage.bar("unheard", ends, until, audio, _AUDIO, "not heard", tip=rest)
                stage.bar("unspoken", ends, until, segments, 22)
            elif not segment.whole and segment.over is not None:
                stage.sign("lost", "cross", ends, segments + 11, tip)
        elif segment.over is not None:
            stage.sign("lost", "cross", segment.over, segments + 11, tip)


def _words(stage: Stage, segment: Segment, y: float) -> None:
    when = Clock(segment.heard).when
    for word in segment.words:
        if segment.stopped is None or when(word.end) <= segment.stopped:
            stage.bar("word", when(word.start), when(word.end), y, 16, word.text.strip(), least=3)


def _all(segment: Segment) -> str:
    return "".join(word.text for word in segment.words)


def about(segment: Segment) -> str:
    """A segment in a line."""
    what = f"segment {segment.number}: {segment.seconds:.2f} s of audio, {len(segment.words)} words"
    if segment.whole and segment.over is not None:
        return f"{what}, spoken to its end" + (f": “{_all(segment)}”" if _all(segment) else "")
    if segment.over is None:
        return f"{what}, goes on"
    spoken = f"; spoken: “{segment.spoken}”" if segment.spoken else ""
    unspoken = f"; not spoken: “{segment.unspoken}”" if segment.unspoken else ""
    return f"{what}, cut off: {segment.cut}{spoken}{unspoken}"
