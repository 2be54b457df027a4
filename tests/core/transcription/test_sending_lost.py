"""The outgoing half: what is let go of as it was heard, and what is told lost, each sample once."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smallest_proto.commands import SendBinary
from smallest_proto.transcription.cursor import Cursor
from smallest_proto.transcription.events import AudioLost, LossReason

from .way import MESSAGE, RATE, Way, joined, open_link, pcm

HELD = LossReason.NOT_HELD
FULL = LossReason.BUFFER_FULL


def test_audio_that_no_link_takes_is_lost_from_its_start_and_each_sample_is_told_once() -> None:
    way = Way(bound=1.0, origin=100.0)
    way.give(RATE)
    way.sender.tell_dropped()
    assert way.said() == []
    for _ in range(21):  # it is told by the second
        way.give(MESSAGE)
    assert way.lost() == [(100.0, 101.0, FULL)]
    for _ in range(18):
        way.give(MESSAGE)
        assert way.lost() == []
    way.give(MESSAGE)
    assert way.lost() == [(101.0, 102.0, FULL)]
    way.give(2 * MESSAGE)
    link = way.link()  # or when the stream goes on
    assert way.lost() == [(102.0, 102.1, FULL)]
    assert link.start == 42 * MESSAGE
    assert way.sender.lost == 42 * MESSAGE
    way.sender.pump(link, 0.0)
    assert joined(way.sent()) == pcm(42 * MESSAGE, 62 * MESSAGE)


def test_what_was_given_after_this_part_takes_room_from_it() -> None:
    way = Way(bound=2.0)
    way.give(2 * RATE)
    way.sender.keep()
    way.sender.tell_dropped()
    assert way.lost() == []
    for later, lost in ((0.5, (0.0, 0.5)), (1.25, (0.5, 1.25)), (99.0, (1.25, 2.0))):
        way.sender.keep(later)
        way.sender.tell_dropped()
        assert way.lost() == [(*lost, FULL)]


def test_what_is_lost_is_told_by_the_second_where_messages_do_not_fill_one() -> None:
    rate, message = 22050, 1102
    way = Way(rate=rate, bound=1.0)
    way.give(20 * message)
    for _ in range(20):
        way.give(message)
        assert way.lost() == []
    way.give(message)
    assert way.lost() == [(0.0, pytest.approx(21 * message / rate), FULL)]


def test_silence_that_was_sent_is_not_lost_when_it_is_dropped_between_two_links() -> None:
    way = Way(bound=1.0)
    link = way.link()
    way.give(4 * MESSAGE)
    way.give_silence(2 * MESSAGE)
    way.sender.pump(link, 0.0)
    way.sender.leave(link.link)
    way.final_to(4 * MESSAGE)
    way.give_silence(20 * MESSAGE)
    way.sender.tell_dropped()
    assert way.lost() == []
    way.give_silence(MESSAGE)
    way.sender.tell_dropped()
    assert way.lost() == [(pytest.approx(0.3), pytest.approx(0.35), FULL)], "nobody was sent it"


def test_what_an_open_link_was_sent_between_two_losses_is_not_lost() -> None:
    way = Way(bound=1.0, interval=1.0)
    link = way.link()
    way.give(22 * MESSAGE)  # two too many
    way.sender.pump(link, 0.0)
    assert way.lost() == [(0.0, 0.1, FULL)]
    way.give(2 * MESSAGE)  # one too many: one was sent
    way.sender.pump(link, 1.0)
    assert way.lost() == [(0.15, 0.2, FULL)]
    assert (link.sent, link.lasting) == (5 * MESSAGE, 2 * MESSAGE)


def test_a_message_that_was_cut_in_two_is_dropped_whole() -> None:
    way = Way(bound=1.0, interval=1.0)
    link = way.link()
    for _ in range(2):
        way.give(100)
        way.sender.finalize()  # the second one moves the first, into the message that follows
    way.give(MESSAGE)
    way.sender.pump(link, 0.0)
    assert [chunk.end for chunk in link.waiting] == [200, 100 + MESSAGE]
    way.give(20 * MESSAGE - 100)
    way.said()
    sent = joined([part for part in way.send_all(link, 1.0) if isinstance(part, bytes)])
    assert sent == pcm(100 + MESSAGE, 100 + 21 * MESSAGE)
    assert way.sender.lost == MESSAGE


@pytest.mark.parametrize(("final", "lost_from"), [(3.5, 4), (5.5, 6), (6.0, 6)])
def test_the_end_of_the_last_final_word_is_not_lost_when_it_is_dropped(final: float, lost_from: int) -> None:
    way = Way(bound=1.0)
    link = way.link()
    way.give(6 * MESSAGE)
    way.sender.pump(link, 0.0)
    way.sender.leave(link.link)
    way.final_to(round(final * MESSAGE))
    way.give(40 * MESSAGE)
    way.sender.tell_dropped()
    (start, *_), *_ = way.lost()
    assert start == pytest.approx(lost_from * 0.05)


def test_what_is_final_is_not_known_of_any_more() -> None:
    way = Way(bound=1.0)
    link = way.link()
    for _ in range(50):
        speech_then_silence(way, link, 1, 30)
        assert len(way.sender._unheld) <= 2
        way.final_to(way.given - 31 * MESSAGE)  # all but the last
    way.final_to(way.given)
    assert len(way.sender._unheld) == 0


def test_what_was_let_go_of_is_lost_when_nobody_will_hear_it() -> None:
    way = Way(bound=1.0)
    speech_then_silence(way, way.link(), 4, 40)
    way.sender.lose_rest(LossReason.ENDED)
    assert way.lost() == [(0.0, pytest.approx(0.5), LossReason.ENDED)]


@pytest.mark.parametrize(("pumped", "lost"), [(0, 0), (1, 20)])
def test_what_the_link_that_serves_was_not_sent_is_lost(pumped: int, lost: int) -> None:
    way = Way(bound=1.0)
    links = way.link(), way.beside()
    for _ in range(40):
        way.give(MESSAGE)
        way.sender.pump(links[pumped], 0.0)
    assert way.sender.lost == lost * MESSAGE


def test_of_several_links_beside_the_first_one_counts() -> None:
    way = Way(bound=1.0)
    links = [way.link(), way.beside()]
    for _ in range(40):
        way.give(MESSAGE)
        for link in links:
            way.sender.pump(link, 0.0)
    way.beside()  # it begins where audio is held
    way.sender.leave(links[0].link)
    assert way.lost() == []


def test_what_begins_after_its_end_is_nothing_that_can_be_lost() -> None:
    way = Way()
    for end in (3 * MESSAGE, 5 * MESSAGE):
        way.sender.lose(5 * MESSAGE, end, LossReason.ENDED)
    assert way.lost() == []
    way.sender.lose(2 * MESSAGE, 6 * MESSAGE, LossReason.ENDED)
    assert way.lost() == [(0.1, 0.3, LossReason.ENDED)]


@pytest.mark.parametrize(
    ("losses", "told"),
    [
        (
            [(0, 1), (4, 5), (8, 9), (3, 6), (2, 7), (0, 9)],
            [[(0, 1)], [(4, 5)], [(8, 9)], [(3, 4), (5, 6)], [(2, 3), (6, 7)], [(1, 2), (7, 8)]],
        ),
        ([(0, 4), (2, 6), (0, 6), (6, 7), (0, 7)], [[(0, 4)], [(4, 6)], [], [(6, 7)], []]),
        ([(4, 8), (2, 6), (2, 8), (1, 2), (1, 8)], [[(4, 8)], [(2, 4)], [], [(1, 2)], []]),
    ],
)
def test_each_sample_is_lost_once(losses: list[tuple[int, int]], told: list[list[tuple[int, int]]]) -> None:
    way = Way()
    for (start, end), expected in zip(losses, told, strict=True):
        way.sender.lose(start * MESSAGE, end * MESSAGE, LossReason.ENDED)
        assert [(round(start / 0.05), round(end / 0.05)) for start, end, _ in way.lost()] == expected


def test_what_a_healthy_link_has_heard_is_let_go_without_a_word() -> None:
    way = Way(bound=1.0)
    link = way.link()
    for _ in range(100):
        way.give(MESSAGE)
        way.sender.pump(link, 0.0)
    assert way.lost() == []
    assert way.sender.lost == 0


def test_a_new_link_that_would_have_to_start_before_what_is_held_tells_of_it() -> None:
    way = Way(bound=1.0)
    link = way.link()
    for _ in range(34):
        way.give(MESSAGE)
        way.sender.pump(link, 0.0)
    way.final_to(4 * MESSAGE)
    way.said()
    second = way.link()
    assert way.lost() == [(0.2, 0.7, HELD)]
    assert second.start == second.sent == 14 * MESSAGE
    assert way.sender.lost == 10 * MESSAGE
    way.link()
    assert way.lost() == []


def test_what_is_silence_is_not_lost_when_it_is_let_go_of() -> None:
    way = Way(bound=1.0)
    link = way.link()
    way.give(4 * MESSAGE)
    way.sender.pump(link, 0.0)
    way.final_to(4 * MESSAGE)
    for _ in range(200):
        way.give_silence(MESSAGE)
        way.sender.pump(link, 0.0)
    way.link()
    assert way.lost() == []
    way.sender.lose_rest(LossReason.ENDED)
    assert way.lost() == [], "nor at the end"


def test_what_sounds_in_a_long_silence_is_told_when_it_is_let_go_of_and_the_link_is_lost() -> None:
    way = Way(bound=1.0)
    link = way.link()
    for messages in (4, -30, 4, -40):
        for _ in range(abs(messages)):
            (way.give if messages > 0 else way.give_silence)(MESSAGE)
            way.sender.pump(link, 0.0)
        if messages == 4 and not way.timeline.watermark:
            way.final_to(4 * MESSAGE)
    assert way.lost() == [], "it is trusted to have been heard"
    way.link()
    ((start, end, reason),) = way.lost()
    assert (reason, start) == (HELD, pytest.approx(34 * 0.05))
    assert 38 * 0.05 <= end <= 38 * 0.05 + 0.3 + 1e-9
    way.link()
    assert way.lost() == []


def speech_then_silence(way: Way, link: Cursor, speech: int, silence: int, *, final: int | None = None) -> None:
    """So many messages of each; then everything before the message ``final`` is final."""
    for give, messages in ((way.give, speech), (way.give_silence, silence)):
        for _ in range(messages):
            give(MESSAGE)
            way.sender.pump(link, 0.0)
        if final is not None:
            way.final_to(final * MESSAGE)


@pytest.mark.parametrize(("after", "told"), [(4, []), (5, [(0.45, 0.5)]), (6, [(0.45, 0.55)])])
def test_a_short_word_right_after_the_last_final_one_is_no_end_of_that(
    after: int, told: list[tuple[float, float]]
) -> None:
    way = Way(bound=1.0)
    link = way.link()
    speech_then_silence(way, link, 5 + after, 40, final=5)
    way.link()
    # 0.2 s can be the end of a word that a final reports too early, more cannot. A pause of 0.3 s belongs to it.
    assert way.lost() == [(pytest.approx(start), pytest.approx(end + 0.3), HELD) for start, end in told]


def test_of_what_was_let_go_a_pause_is_lost_with_its_sound_and_the_silence_after_it_is_not() -> None:
    way = Way(bound=1.0)
    link = way.link()
    speech_then_silence(way, link, 1, 40)
    speech_then_silence(way, link, 1, 40)
    way.link()
    assert way.lost() == [(0.0, pytest.approx(0.35), HELD), (pytest.approx(2.05), pytest.approx(2.4), HELD)]


def test_what_is_let_go_of_is_the_end_of_a_word_that_is_final_later() -> None:
    for final, told in ((10, False), (7, False), (6, True)):
        way = Way(bound=1.0)
        link = way.link()
        speech_then_silence(way, link, 11, 40)
        way.final_to(final * MESSAGE)
        way.link()
        start, end = final * 0.05, 11 * 0.05 + 0.3
        assert way.lost() == [(pytest.approx(start), pytest.approx(end), HELD)] * told, final


def test_whether_silence_follows_a_place_is_known_of_what_was_sent() -> None:
    way = Way()
    link = way.link()
    way.give(19 * MESSAGE)
    way.give_silence(MESSAGE)
    way.give(MESSAGE)
    assert not way.sender.silent_after(19 * MESSAGE), "it is not sent yet"
    way.sender.pump(link, 0.0)
    assert way.sender.silent_after(19 * MESSAGE)
    assert not way.sender.silent_after(19 * MESSAGE + 1), "as much as a message"
    assert not way.sender.silent_after(18 * MESSAGE)
    assert not way.sender.silent_after(21 * MESSAGE)
    way.give_silence(MESSAGE)
    way.sender.pump(link, 0.0)
    assert way.sender.silent_after(21 * MESSAGE + 1), "as much of it as was sent"
    assert not way.sender.silent_after(22 * MESSAGE)


@pytest.mark.parametrize(("speech", "told"), [(23, []), (24, [(1.0, 2.0, LossReason.ENDED)])])
def test_the_end_of_the_last_final_word_is_not_lost(speech: int, told: list[tuple[float, float, LossReason]]) -> None:
    way = Way()
    link = way.link()
    speech_then_silence(way, link, speech, 40 - speech, final=20)
    way.said()
    way.sender.lose_rest(LossReason.ENDED)
    assert way.lost() == told


def test_what_the_link_beside_has_heard_is_not_lost_with_the_first() -> None:
    way = Way(bound=1.0)
    first = way.link()
    for _ in range(10):
        way.give(MESSAGE)
        way.sender.pump(first, 0.0)
    second = way.beside()
    way.send_all(second)
    for _ in range(30):
        way.give(MESSAGE)
        for cursor in (first, second):
            way.sender.pump(cursor, 0.0)
    way.sender.leave(first.link)
    assert way.sender.cursors == [second]
    assert way.lost() == []
    way.sender.leave(second.link)
    assert way.lost() == [], "what is told is told when the link that served is gone"


def test_a_link_that_is_not_sent_this_part_can_leave_as_well() -> None:
    way = Way()
    way.sender.leave(open_link(9))
    way.link()
    way.sender.leave(open_link(9))
    assert len(way.sender.cursors) == 1


def test_the_rest_is_lost_once_when_nobody_will_hear_it() -> None:
    way = Way()
    link = way.link()
    way.give(20 * MESSAGE)
    way.sender.pump(link, 0.0)
    way.said()
    way.final_to(10 * MESSAGE)
    way.sender.lose_rest(LossReason.ENDED)
    assert way.lost() == [(0.5, 1.0, LossReason.ENDED)]
    way.sender.lose_rest(LossReason.ENDED)
    assert way.lost() == []


def test_silence_that_no_link_was_sent_is_lost_all_the_same() -> None:
    way = Way()
    way.give_silence(20 * MESSAGE)
    way.sender.lose_rest(LossReason.ENDED)
    assert way.lost() == [(0.0, 1.0, LossReason.ENDED)]


LOSING = st.lists(
    st.one_of(
        st.tuples(st.just("give"), st.integers(1, 30)),
        st.tuples(st.just("send"), st.integers(1, 30)),
        st.tuples(st.just("heard"), st.integers(0, 10)),
        st.tuples(st.just("link"), st.just(0)),
    ),
    max_size=20,
)


@settings(max_examples=200)
@given(LOSING)
def test_every_sample_reaches_the_last_link_or_is_final_or_is_told_lost(steps: list[tuple[str, int]]) -> None:
    way = Way(bound=1.0, interval=1.0)
    link = way.link()
    now = 0.0
    lost: list[tuple[int, int]] = []  # in messages, as all of the following: nothing is cut here
    heard: list[bytes] = []  # by this link
    sent: set[int] = set()

    def look() -> None:
        for output in way.said():
            if isinstance(output, AudioLost):
                first, last = way.timeline.position(output.start), way.timeline.position(output.end)
                assert first < last
                assert all(last <= start or end <= first for start, end in lost)  # each sample once
                lost.append((first, last))
                if output.reason is FULL:  # no link was sent it, or only one that was lost
                    assert not sent.intersection(range(first, last, MESSAGE))
            elif isinstance(output, SendBinary):
                heard.append(output.data)

    def send(times: int) -> None:
        nonlocal now
        for _ in range(times):
            now += 1.0
            way.sender.pump(link, now)
            look()
            sent.add(link.sent - MESSAGE)

    for kind, value in [*steps, ("link", 0), ("send", 100)]:
        if kind == "give":
            way.give(value * MESSAGE)
        elif kind == "send":
            send(value)
        elif kind == "heard":
            mark = min(link.sent, way.timeline.watermark + value * MESSAGE)
            way.final_to(max(way.timeline.watermark, mark))
        else:
            link = way.link()
            heard.clear()
            sent.clear()
        look()
        assert way.sender.lost == sum(end - start for start, end in lost)
    assert b"".join(heard) == pcm(link.start, way.given)  # all that is left, from its start on
    untold = [at for at in range(0, way.given, MESSAGE) if not any(start <= at < end for start, end in lost)]
    # What lies so near after the last final word can be the end of it.
    final = way.timeline.watermark + 0.3 * RATE if way.timeline.watermark else 0
    assert all(at < final or at >= link.start for at in untold)
