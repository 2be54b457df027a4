"""Where speech begins and ends, and what is decoded as one piece: decisions, without a model.

A stream of voice probabilities goes in, one for each 32 ms frame; out come voice events and stretches. A stretch is a
stretch of audio that becomes one final. It ends

- at a pause as long as endpointing asks for;
- once it is long, where the speaker goes on after a short pause;
- at its greatest length, at the frame in its second half where a voice is least likely;
- at a finalize, wherever that comes.

All positions are samples at 16 kHz. What comes out depends on the probabilities alone.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from smallest_proto.server.recogniser import VOICE_END_SECONDS, VoiceEnded, VoiceStarted
from smallest_proto.values import Value

from .pcm import SAMPLE_RATE
from .voice_activity import FRAME

BEGINS, GOES_ON = 0.5, 0.35  # voice probabilities: a voice may become fainter before it counts as gone
ONSET_FRAMES = 2  # in a row, before a voice counts: a click is shorter
LEAD = 10 * FRAME  # samples before the voice: the first sounds of a word can be faint
TRAIL = 6 * FRAME  # samples after the voice, likewise
SHORTEST_VOICE = 3  # frames: a stretch with fewer holds no word
SHORT_PAUSE = 5 * FRAME  # samples
LONG = 6 * SAMPLE_RATE  # samples from which a stretch may end at a short pause
LONGEST = 14 * SAMPLE_RATE  # samples: the model was made for stretches of a few seconds, and decoding has to keep up


class Stretch(Value, frozen=True, kw_only=True):
    """A stretch of audio to decode. Positions are samples."""

    start: int
    end: int
    voice_start: int  # where the voice was first heard
    voice_end: int  # where it was last heard
    endpoint: bool = False  # the speaker paused


Decision: TypeAlias = VoiceStarted | VoiceEnded | Stretch


class Endpointer:
    """Cuts one stream. ``pause`` is the silence that ends a stretch (seconds); ``None``: pauses end none."""

    def __init__(self, pause: float | None) -> None:
        self._pause = None if pause is None else round(pause * SAMPLE_RATE)
        self._voice_end_silence = round(VOICE_END_SECONDS * SAMPLE_RATE)
        self._out: list[Decision] = []
        self._position = 0  # the end of the last frame
        self._floor = 0  # everything before it belongs to stretches that are over
        self._speaking = False  # between VoiceStarted and VoiceEnded
        self._onset = 0  # frames in a row with a voice
        self._voice_end = 0  # where a voice was last heard
        self._start: int | None = None  # of the open stretch
        self._voice_start = 0  # in it
        self._voiced = 0  # frames with a voice in it
        self._likely: list[float] = []  # the probability of each of its frames

    def frame(self, probability: float) -> list[Decision]:
        """Take the next frame; return what came of it, in order."""
        begin = self._position
        self._position += FRAME
        if self._start is not None:
            self._likely.append(probability)
        if probability > (GOES_ON if self._speaking else BEGINS):
            self._onset += 1
            if self._speaking:
                self._voice(begin)
            elif self._onset == ONSET_FRAMES:
                self._voice(self._position - ONSET_FRAMES * FRAME)
        else:
            self._onset = 0
        self._silence(self._position - self._voice_end)
        out, self._out = self._out, []
        return out

    def cut(self, end: int) -> Stretch | None:
        """End the open stretch. ``end`` is the end of the audio that is there, a part of a frame included."""
        self._finish(self._open(end))
        out, self._out = self._out, []
        return out[0] if out and isinstance(out[0], Stretch) else None

    @property
    def open(self) -> Stretch | None:
        """The open stretch up to now, ``None`` if nobody has spoken since the last one."""
        return self._open(self._position) if self._voiced else None

    @property
    def settled(self) -> bool:
        """More silence would not change the open stretch: its text is final already."""
        return self._position >= self._voice_end + TRAIL

    @property
    def needed(self) -> int:
        """The first sample that a stretch can still ask for."""
        return (
            self._start if self._start is not None else max(self._floor, self._position - LEAD - ONSET_FRAMES * FRAME)
        )

    def _open(self, end: int) -> Stretch | None:
        if self._start is None:
            return None
        end = max(self._start, min(end, self._voice_end + TRAIL))
        voice_end = max(self._voice_start, min(end, self._voice_end))
        return Stretch(
            start=self._start, end=end, voice_start=min(self._voice_start, end), voice_end=min(voice_end, end)
        )

    def _voice(self, begin: int) -> None:
        if not self._speaking:
            self._speaking = True
            self._out.append(VoiceStarted(time=begin / SAMPLE_RATE))
        if (stretch := self._open(begin)) and begin - stretch.start >= LONG and begin - self._voice_end >= SHORT_PAUSE:
            self._finish(stretch)
        if self._start is None:
            self._begin(max(self._floor, begin - LEAD))
        if not self._voiced:
            self._voice_start = max(begin, self._voice_start)
        self._voiced += (self._position - begin) // FRAME
        self._voice_end = self._position
        if self._position - self.needed >= LONGEST:
            self._cut_inside()

    def _silence(self, quiet: int) -> None:
        if self._speaking and quiet >= self._voice_end_silence:
            self._speaking = False
            self._out.append(VoiceEnded(time=self._voice_end / SAMPLE_RATE))
        stretch = self._open(self._position)
        if stretch is None or not quiet:
            return
        if self._pause is not None:
            if quiet >= self._pause:
                self._finish(stretch, endpoint=True)
        elif quiet >= LONGEST:  # no pause ends it, but the audio cannot be kept for ever
            self._finish(stretch)

    def _cut_inside(self) -> None:
        """The stretch is too long and the speaker goes on: cut where a voice is least likely."""
        likely = self._likely
        # The neighbours count too: one quiet frame inside a word is no gap between two words.
        at = min(
            range(len(likely) // 2, len(likely) - 1),
            key=lambda i: (likely[i - 1] + 2 * likely[i] + likely[i + 1], -i),
        )
        stretch = self._open(self._position - (len(likely) - at) * FRAME + FRAME // 2)
        assert stretch is not None
        self._finish(stretch)
        self._likely = likely[at:]
        self._voiced = SHORTEST_VOICE  # the speech goes on: the rest belongs to a word

    def _begin(self, start: int) -> None:
        self._start = self._voice_start = start
        self._voiced = 0
        self._likely = [1.0] * ((self._position - start) // FRAME)

    def _finish(self, stretch: Stretch | None, *, endpoint: bool = False) -> None:
        if stretch is None:
            return
        speaking = self._voice_end == self._position
        if speaking and self._voiced < SHORTEST_VOICE:
            return  # somebody has just begun: that belongs to the next stretch
        if self._voiced >= SHORTEST_VOICE:
            self._out.append(msgspec.structs.replace(stretch, endpoint=endpoint))
        self._start, self._voiced, self._likely = None, 0, []
        self._floor = stretch.end
        if speaking:  # the next one has to begin where this one ends
            self._begin(stretch.end)
