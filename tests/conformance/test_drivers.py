"""Our five drivers, and the loops that they run in, through the suite that is shipped."""

from __future__ import annotations

import logging

from smallest_transports.testing.conformance import suite

from .makers import TRANSPORTS

TestDrivers = suite(*TRANSPORTS)


def test_the_tree_of_loggers_is_silent_unless_the_application_listens() -> None:
    assert [type(handler) for handler in logging.getLogger("smallest_proto").handlers] == [logging.NullHandler]
