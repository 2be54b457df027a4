"""Fixtures for pytest, there as soon as ``smallest-proto[testing]`` is installed; their names begin with ``smallest_``.

They are plain fixtures, whose services run on threads of their own: a test may be a function, or a coroutine that
asyncio, trio or anyio runs. Nothing of the library is imported before a test asks for it.

- ``smallest_service``: the service on loopback, which needs no model: it hears coded speech
  (``smallest_transports.testing.speech``) and speaks it.
- ``smallest_engines``: the same with the real recogniser and voice of ``smallest-proto[local]``, once for the session.
- ``smallest_call``: makes calls in virtual time, with no socket at all.
- ``smallest_certificates``, ``smallest_tls``: a factory of certificates for TLS, and contexts for both sides.

::

    @pytest.mark.smallest_faults("drop@2", "refuse:503")    # what happens to links, by name
    @pytest.mark.smallest_script("hello world", 0.5, "bye")  # say this, whatever is heard
    def test_my_agent(smallest_service):
        run(my_agent, base_url=smallest_service.base_url)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from smallest_transports.testing.calls import Call
    from smallest_transports.testing.certificates import Certificates, Tls
    from smallest_transports.testing.services import Service

# What these hold are tests: their asserts say what was wrong.
pytest.register_assert_rewrite("smallest_transports.testing.conformance", "smallest_transports.testing.servers")

_MARKS = (
    "smallest_faults(*faults): what happens to links of smallest_service or smallest_call, by name, in order",
    "smallest_script(*script): smallest_service says this, texts and pauses in seconds, whatever it hears",
    "smallest_recogniser(*kinds): how smallest_service and smallest_call are imperfect: 'rounding=0.1', 'twice'",
)
# What each takes, and how to say it. A mark that is passed over would leave a test that shows nothing.
_TAKES = {
    "smallest_faults": (("str", "Fault"), 'faults by name, such as "drop@2"'),
    "smallest_script": (("str", "int", "float"), "texts, and pauses in seconds"),
    "smallest_recogniser": (("str",), 'kinds by name, such as "rounding=0.1"'),
}


def pytest_configure(config: pytest.Config) -> None:
    """Tell of the markers."""
    for mark in _MARKS:
        config.addinivalue_line("markers", mark)


def _marked(request: pytest.FixtureRequest, name: str) -> tuple[Any, ...]:
    mark = request.node.get_closest_marker(name)
    if mark is None:
        return ()
    takes, told = _TAKES[name]
    if mark.kwargs or not mark.args or any(type(arg).__name__ not in takes for arg in mark.args):
        given = ", ".join([*map(repr, mark.args), *(f"{key}={value!r}" for key, value in mark.kwargs.items())])
        raise pytest.UsageError(f"{name}({given}) on {request.node.name}: give it {told}, one after the other")
    return tuple(mark.args)


@pytest.fixture
def smallest_service(request: pytest.FixtureRequest) -> Iterator[Service]:
    """The service on loopback: ``base_url`` is what a client needs; any key is let in.

    It hears coded speech and speaks it, or says what ``smallest_script`` marks. A fault of ``smallest_faults`` that did
    not happen fails the test: it would have shown nothing.
    """
    from smallest_transports.testing.services import coded_service

    with coded_service(
        faults=_marked(request, "smallest_faults"),
        script=_marked(request, "smallest_script"),
        recogniser=_marked(request, "smallest_recogniser"),
    ) as service:
        yield service


@pytest.fixture(scope="session")
def smallest_engines() -> Iterator[Service]:
    """The service on loopback with a real recogniser and a real voice, English.

    The test is skipped without ``smallest-proto[local]``. The models are loaded once, which takes a second or two.
    """
    from smallest_proto.errors import ConfigurationError
    from smallest_transports.testing.services import engine_service

    try:
        service = engine_service()
    except ConfigurationError as error:
        pytest.skip(str(error))
    with service as running:
        yield running


@pytest.fixture
def smallest_call(request: pytest.FixtureRequest) -> Callable[..., Call]:
    """A function that runs a call in virtual time: ``smallest_call("hello world", 1.0).check()``.

    It takes what ``CallPlan.of`` takes; faults and imperfections come from the markers unless they are given. A fault
    is written with its time: ``smallest_faults("drop@1.5")``. One that did not happen fails the test here too.
    """
    from smallest_transports.testing.services import marked_call

    faults, kinds = _marked(request, "smallest_faults"), _marked(request, "smallest_recogniser")

    def run(*script: str | float, **more: Any) -> Call:
        return marked_call(script, faults, kinds, more)

    return run


@pytest.fixture(scope="session")
def smallest_certificates() -> Certificates:
    """A factory of certificates: ``server("localhost")`` and ``client()`` are SSL contexts that trust each other."""
    from smallest_transports.testing.certificates import Certificates

    return Certificates()


@pytest.fixture(scope="session")
def smallest_tls(smallest_certificates: Certificates) -> Tls:
    """Contexts for both sides of TLS on loopback: ``server``, ``client``, and ``of_another``, whose name is wrong."""
    return smallest_certificates.tls()
