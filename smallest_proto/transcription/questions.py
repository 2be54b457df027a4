"""Which final answers a question, and what the answer says about the audio before it.

A finalize is a question: what was said up to here? The answer comes with a label or without, empty, in two finals, or
never. In the middle of a word, the question cuts it in two. In a pause, it leaves no word unfinished: where words have
no times, only that shows how far everything is final.
"""

from __future__ import annotations

from .cursor import Ask, Cursor
from .messages import Transcription
from .sending import COVERED, Sender
from .timeline import Timeline
from .turns import says_something

_SETTLED_AFTER = 1.0  # seconds without another final: one question can be answered by two


def answered(
    cursor: Cursor, message: Transcription, end: float | None, sender: Sender, timeline: Timeline
) -> tuple[int | None, Ask | None]:
    """The question that a final answers: one of the session's own (its position), or one of the application's.

    A label makes it certain, but does not always come. If nothing was said, the answer is empty. Else it is the first
    final that covers all that was said before the question; ``end`` is the end of its words, if they have times.
    """
    if cursor.probe is not None and end is not None and timeline.position(end) > cursor.probe:
        cursor.probe = None  # it had no answer: this was said after it
        if not cursor.asked:
            return None, None
    passed = sender.asks and sender.asks[0].position < cursor.sent  # in a storm of them not each one is sent
    if cursor.probe is None and not cursor.asked and not passed:
        return None, None
    position = cursor.probe if cursor.probe is not None else sender.asks[0].position
    labelled = message.from_finalize or not says_something(message.text)
    if not labelled and end is not None and sender.loud(timeline.position(end + COVERED), position)[0]:
        return None, None
    if cursor.probe is not None:
        cursor.probe = None
        return position, None
    return None, sender.answered()


def is_cut(end: float, cursor: Cursor, sender: Sender, timeline: Timeline) -> bool:
    """Whether a question came in the middle of the word that ends at ``end``."""
    near = timeline.samples(COVERED)
    return any(
        abs(timeline.position(end) - position) < near
        and sender.loud(position - near // 2, position)[0]
        and not sender.silent_after(position)
        for position in cursor.questions
    )


def may_settle(cursor: Cursor, position: int, sender: Sender, now: float) -> None:
    """A question was answered. If it was asked in a pause, all before it is final, unless more follows."""
    if (pause := sender.paused_before(position)) is not None:
        cursor.settled = pause, now


def settled(cursor: Cursor, now: float) -> int | None:
    """A place before which everything is final, as nothing followed the answer to a question for a while."""
    if cursor.settled is None or now - cursor.settled[1] < _SETTLED_AFTER:
        return None
    position, cursor.settled = cursor.settled[0], None
    return position
