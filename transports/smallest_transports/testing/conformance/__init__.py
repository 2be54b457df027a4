"""What every driver must do, as a suite: give a maker, get every promise checked.

::

    # test_my_driver.py
    from smallest_transports.testing.conformance import Driver, suite

    TestMyDriver = suite(Driver("mine", "my_package.my_driver:Client", "trio"))

Each promise is a test of its own: that no word is lost over networks that are bad on purpose, that what goes wrong is
raised by its name where the application awaits, that leaving at every await leaves nothing behind, that a peer which
does not read slows the sender, that no key is in a log, and some hundred more. They run on real sockets, plain and with
TLS, against servers on threads of their own. ``SOAK=1`` in the environment runs their long form.

A client is what ``smallest_transports.asyncio.Client`` is. What a driver does not do it says honestly in
``Driver(lacks=...)``; such a case must fail, so the list stays true. Cases that need a server of aiohttp or websockets
are skipped where those are not installed.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Sequence
from functools import partial
from types import ModuleType
from typing import Any

import pytest

from .drivers import Driver, leaves_nothing, those

__all__ = ["SUBJECTS", "Driver", "suite", "those"]

# The modules that hold cases.
SUBJECTS = (
    "promises",
    "events",
    "messages",
    "failures",
    "retries",
    "leaving",
    "goodbye",
    "late",
    "pressure",
    "many",
    "peers",
    "way",
    "gateways",
    "real_answers",
    "live_files",
    "logs",
    "metrics",
    "native",
    "speech",
    "speech_streams",
    "speech_pool",
    "speech_fails",
)
_FIXTURES = {"tls": "smallest_tls"}  # what cases call by a short name


def suite(*drivers: Driver, only: Sequence[str] = SUBJECTS) -> type:
    """A class of tests: each case, for each of the drivers. Assign it to a name that begins with ``Test``.

    ``only``: the subjects that are asked for, such as ``("promises", "leaving")``.
    """
    cases: dict[str, Any] = {"__doc__": "Every promise, for each driver."}
    for subject in only:
        module = importlib.import_module(f"{__name__}.{subject}")
        for name, case in cases_of(module).items():
            made = _held(case, f"test_{subject}_{name.removeprefix('test_')}", drivers)
            if made is not None:
                cases[made.__name__] = made
    return type("Conformance", (), cases)


def cases_of(module: ModuleType) -> dict[str, Callable[..., Any]]:
    """The cases of a subject by name: async functions with a ``transport``, as pytest would have them."""
    return {
        name: case
        for name, case in vars(module).items()
        if name.startswith("test_") and case.__module__ == module.__name__
    }


def _held(case: Callable[..., Any], name: str, drivers: Sequence[Driver]) -> Callable[..., None] | None:
    """A case as a method that pytest runs, or ``None`` if none of the drivers is meant."""
    fit: Callable[[Driver], bool] = getattr(case, "fit", lambda _: True)
    found = [driver for driver in drivers if fit(driver)]
    if not found:
        return None
    names = [parameter for parameter in inspect.signature(case).parameters if parameter != "transport"]

    def held(_: object, transport: Driver, request: pytest.FixtureRequest, **fixtures: Any) -> None:
        given = {each: fixtures[_FIXTURES.get(each, each)] for each in names if each != "logs"}
        why = transport.lack(request.node.name)
        try:
            with leaves_nothing() as logs:
                given |= {"logs": logs} if "logs" in names else {}
                transport.run(partial(case, transport=transport, **given))
        except Exception as error:
            if why is None or isinstance(error, pytest.skip.Exception):
                raise
            pytest.xfail(why)
        if why is not None:
            pytest.fail(f"{transport.name} passes it now: take it out of lacks ({why})")

    wanted = ["self", "transport", "request", *(_FIXTURES.get(each, each) for each in names if each != "logs")]
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    held.__signature__ = inspect.Signature([inspect.Parameter(each, kind) for each in wanted])  # type: ignore[attr-defined]
    held.__name__ = held.__qualname__ = name
    held.__doc__ = case.__doc__
    each_driver = pytest.mark.parametrize("transport", found, ids=[driver.name for driver in found])
    held.pytestmark = [each_driver.mark, *getattr(case, "pytestmark", ())]  # type: ignore[attr-defined]
    return held
