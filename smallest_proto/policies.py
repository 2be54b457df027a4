"""How long is waited, and how often something is tried again: what the user can set of it."""

from __future__ import annotations

from .checks import check_number, check_seconds, check_whole
from .values import Value


class Timeouts(Value, frozen=True, kw_only=True):
    """Deadlines and paces: everything that is waited for ends.

    All are seconds above 0; ``message_interval`` can be 0. Raises ``ConfigurationError`` for others.

    Fields (default):
        opening (10.0): from the attempt to open a connection to an open one.
        last (10.0): from the end of the input to the last final; what is not final yet is added.
        closing (2.0): from our goodbye to the peer's.
        response (600.0): from an HTTP request to the end of its answer. A file may take ten minutes.
        audio (15.0): from one piece of speech to the next; over SSE also from the request to the first.
        ping (5.0): between a pong and the next ping.
        pong (5.0): from a ping to its pong.
        write (5.0): from a send to ``write_done``.
        mute (12.0): of loud audio without an answer, before a second connection is opened beside the first.
        finalize (5.0): from a finalize to its answer; audio that was sent faster than it can be heard is added.
        keepalive (5.0): without anything sent, before the gateway is sent a keepalive.
        message_interval (0.02): between two audio messages of 50 ms, as the service asks; 0: no pace.
    """

    opening: float = 10.0
    last: float = 10.0
    closing: float = 2.0
    response: float = 600.0
    audio: float = 15.0
    ping: float = 5.0
    pong: float = 5.0
    write: float = 5.0
    mute: float = 12.0
    finalize: float = 5.0
    keepalive: float = 5.0
    message_interval: float = 0.02  # shorter packets of opus get their share

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            check_seconds(name, getattr(self, name), least=0.0 if name == "message_interval" else None)


class RetryPolicy(Value, frozen=True, kw_only=True):
    """When a lost connection is opened again, or a request sent again: exponential waits with jitter.

    Raises ``ConfigurationError`` for a value that is out of its range.

    Fields (default):
        max_retries (8): failures in a row that are forgiven, at least 0; 0: none is.
        first_delay (0.25): seconds of the longest wait after the first failure, at least 0.
        growth (2.0): how many times as long the wait is after each further failure, 1 to 1000.
        longest_delay (10.0): seconds of the longest wait, at least 0.
        longest_busy (30.0): seconds of the longest wait for a busy service (429, 503), at least 0; over HTTP alone.
        jitter (1.0): share of each wait that is left to chance, 0 to 1.
        longest_retry_after (60.0): seconds of the longest wait that the service can ask for (Retry-After), at least 0.
        healthy_after (10.0): seconds after which an open connection starts the count over, at least 0.
    """

    max_retries: int = 8
    first_delay: float = 0.25
    growth: float = 2.0
    longest_delay: float = 10.0
    # The vendor asks for 0.5 to 30 s, and eight such waits let twenty files share two workers.
    longest_busy: float = 30.0
    jitter: float = 1.0
    longest_retry_after: float = 60.0
    healthy_after: float = 10.0

    def __post_init__(self) -> None:
        check_whole("max_retries", self.max_retries, 0, None, "retries")
        for name in ("first_delay", "longest_delay", "longest_busy", "longest_retry_after", "healthy_after"):
            check_seconds(name, getattr(self, name), least=0.0)
        check_number("growth", self.growth, 1.0, 1000.0, "times")
        check_number("jitter", self.jitter, 0.0, 1.0, "a share")
