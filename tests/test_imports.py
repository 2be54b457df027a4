"""The import rule, read off the source: imports point down, the core is pure.

Every check is also shown what it must find: one that cannot fail is none.
"""

from __future__ import annotations

import ast
import graphlib
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import smallest_proto

ROOT = Path(__file__).resolve().parents[1]
SOURCES = (ROOT, ROOT / "transports", ROOT / "livekit_plugin")

# Of the standard library, what neither does I/O nor asks the world anything.
PURE = (
    *(
        "__future__",
        "array",
        "base64",
        "binascii",
        "bisect",
        "collections",
        "contextlib",
        "dataclasses",
        "enum",
        "functools",
    ),
    *("heapq", "hmac", "itertools", "json", "math", "operator", "re", "string", "struct", "types", "typing"),
    "urllib.parse",
)
IMPURE = (
    *("asyncio", "trio", "anyio", "aiohttp", "socket", "ssl", "select", "selectors", "http", "email", "signal"),
    *("time", "datetime", "random", "secrets", "uuid", "logging", "os", "io", "pathlib", "tempfile"),
    *("subprocess", "threading", "multiprocessing", "concurrent", "queue"),
)
HARMLESS = ("os.PathLike",)  # a type
IMPURE_BUILTINS = {"open", "print", "input", "exec", "eval", "breakpoint", "__import__"}

# Which rooms each room may import. A driver never imports another driver, and nothing imports upward.
DRIVERS = tuple(f"smallest_transports.{name}" for name in ("asyncio", "trio", "anyio", "aiohttp"))
SHARED = ("smallest_proto", "smallest_transports", "smallest_transports._")
WORLD = "smallest_transports._world"  # what the drivers share which is not pure,
LOOP = "smallest_transports._event_loop"  # and what two of them share: asyncio
ROOMS: dict[str, tuple[str, ...]] = {
    "smallest_proto": (),
    "smallest_transports": ("smallest_proto",),
    "smallest_transports._": ("smallest_proto",),  # what the drivers share: _wire and its like
    WORLD: SHARED,
    LOOP: (*SHARED, WORLD),
    "smallest_transports.memory": SHARED,
    **dict.fromkeys(DRIVERS, (*SHARED, WORLD)),
    **dict.fromkeys((DRIVERS[0], DRIVERS[3]), (*SHARED, WORLD, LOOP)),
    "smallest_transports.sync": (*SHARED, DRIVERS[0]),
    "smallest_transports.local": SHARED,
    "smallest_transports.cli": (*SHARED, DRIVERS[0], "smallest_transports.memory", "smallest_transports.local"),
    "livekit.plugins.smallest_proto": (*SHARED[:2], DRIVERS[3]),
}
OURS = ("smallest_proto", "smallest_transports", "livekit.plugins.smallest_proto")


class Import(NamedTuple):
    """One imported name with its module, dotted: ``from a.b import c`` is ``a.b.c``."""

    name: str
    typing_only: bool


def within(name: str, *prefixes: str) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def read_imports(tree: ast.AST, module: str, *, is_package: bool) -> Iterator[Import]:
    package = module if is_package else module.rpartition(".")[0]

    def visit(node: ast.AST, typing_only: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, typing_only) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            yield from (Import(f"{base}.{alias.name}", typing_only) for alias in node.names)
        elif isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for statement in node.body:
                yield from visit(statement, True)
            for statement in node.orelse:
                yield from visit(statement, typing_only)
        else:
            for child in ast.iter_child_nodes(node):
                yield from visit(child, typing_only)

    yield from visit(tree, False)


def room_of(name: str) -> str | None:
    """The room that a dotted name of ours is in; ``None`` for one that has no place in the table."""
    if within(name, "livekit.plugins.smallest_proto"):
        return "livekit.plugins.smallest_proto"
    top, *rest = name.split(".")
    if top == "smallest_proto" or not rest or rest[0][:1].isupper() or rest[0].startswith("__"):
        return top
    if within(name, WORLD, LOOP):
        return WORLD if within(name, WORLD) else LOOP
    room = f"{top}._" if rest[0].startswith("_") else f"{top}.{rest[0]}"
    return room if room in ROOMS else None


def import_breaches(module: str, source: str, *, is_package: bool = False) -> list[str]:
    tree, room, breaches = ast.parse(source), room_of(module), []
    if room is None:
        return [f"{module} has no place in ROOMS"]
    pure = room in ("smallest_proto", "smallest_transports._")
    for name, typing_only in read_imports(tree, module, is_package=is_package):
        if within(name, *OURS):
            other = room_of(name)
            if other != room and other not in ROOMS[room] and not (typing_only and other == WORLD):
                breaches.append(f"{module} imports {name}: {room} may not import {other}")
            if other == "smallest_proto" != room and any(re.match(r"_(?!_)", part) for part in name.split(".")[1:]):
                breaches.append(f"{module} imports {name}, which is private to the core")
        elif room == "smallest_proto" and not (
            within(name, *PURE, "msgspec") or (typing_only and within(name, "typing_extensions"))
        ):
            breaches.append(f"{module} imports {name}: the core is pure")
        elif pure and not typing_only and within(name, *IMPURE) and name not in HARMLESS:
            breaches.append(f"{module} imports {name}: what the drivers share is pure")
    if pure:
        breaches += [
            f"{module} calls {node.func.id}()"
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_BUILTINS
        ]
    return breaches


def import_circle(sources: dict[str, str], packages: set[str]) -> list[str]:
    """A circle of modules that import one another at run time, if there is one."""
    graph: dict[str, set[str]] = {}
    for module, source in sources.items():
        graph[module] = set()
        for name, typing_only in read_imports(ast.parse(source), module, is_package=module in packages):
            while name and name not in sources:  # of a.b.c.Thing the nearest that is a module: a.b.c
                name = name.rpartition(".")[0]
            if name and name != module and not typing_only:
                graph[module].add(name)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def modules() -> dict[str, Path]:
    """Every module of the three packages by its dotted name."""
    found = {}
    for source in SOURCES:
        for package in ("smallest_proto", "smallest_transports", "livekit"):
            for path in (source / package).rglob("*.py"):
                parts = path.relative_to(source).with_suffix("").parts
                found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def test_point_down() -> None:
    found = modules()
    assert {"smallest_proto", "smallest_proto.audio", "smallest_transports"} <= set(found)
    breaches = [
        breach
        for module, path in found.items()
        for breach in import_breaches(module, path.read_text("utf-8"), is_package=path.name == "__init__.py")
    ]
    assert not breaches, "\n".join(breaches)


def test_make_no_circle() -> None:
    found = modules()
    packages = {module for module, path in found.items() if path.name == "__init__.py"}
    assert import_circle({module: path.read_text("utf-8") for module, path in found.items()}, packages) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("smallest_proto.link", "import asyncio"),
        ("smallest_proto.link", "def f():\n    import time"),
        ("smallest_proto.link", "from datetime import datetime"),
        ("smallest_proto.link", "import urllib.request"),
        ("smallest_proto.link", "import requests"),
        ("smallest_proto.link", "import typing_extensions"),
        ("smallest_proto.link", "print(1)"),
        ("smallest_proto.link", "from smallest_transports import memory"),
        ("smallest_proto.link", "if TYPE_CHECKING:\n    import smallest_transports.memory"),
        ("smallest_transports._wire", "import ssl"),
        ("smallest_transports._wire", "from . import memory"),
        ("smallest_transports.trio", "from .asyncio import Client"),
        ("smallest_transports.trio", "from smallest_transports import asyncio"),
        ("smallest_transports.asyncio", "from smallest_transports.local.server import LocalServer"),
        ("smallest_transports.asyncio", "from smallest_proto.messages import _decoder"),
        ("smallest_transports.asyncio", "import smallest_proto._hidden"),
        ("smallest_transports.local.server", "from ..cli import main"),
        ("smallest_transports.memory", "from . import asyncio"),
        ("smallest_transports.surprise", ""),
        ("livekit.plugins.smallest_proto.stt", "from smallest_transports.asyncio import Client"),
    ],
)
def test_of_the_wrong_kind_are_found(module: str, source: str) -> None:
    assert import_breaches(module, source)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("smallest_proto.link", "from collections.abc import Iterator\nfrom .audio import Framer\nimport msgspec"),
        ("smallest_proto.link", "if TYPE_CHECKING:\n    from typing_extensions import Buffer"),
        ("smallest_transports._wire", "import wsproto\nfrom smallest_proto.errors import Failure"),
        ("smallest_transports.asyncio", "import asyncio\nimport ssl\nfrom smallest_transports._wire import Socket"),
        ("smallest_transports.asyncio", "from smallest_proto import TranscriptionSession, __version__"),
        ("smallest_transports.cli.demo", "from smallest_transports.local.server import LocalServer"),
        ("livekit.plugins.smallest_proto.stt", "import livekit.agents\nfrom smallest_transports.aiohttp import Client"),
    ],
)
def test_of_the_right_kind_pass(module: str, source: str) -> None:
    assert import_breaches(module, source) == []


def test_in_a_circle_are_found() -> None:
    circle = {"p": "", "p.a": "from .b import x", "p.b": "def f():\n    from . import a"}
    assert import_circle(circle, {"p"})
    assert not import_circle({**circle, "p.b": "if TYPE_CHECKING:\n    from . import a"}, {"p"})


def test_of_the_core_load_nothing_that_touches_the_world() -> None:
    """What the text does not show: modules that come along."""
    names = [f"smallest_proto.{m.name}" for m in pkgutil.iter_modules(smallest_proto.__path__)]
    code = f"import sys, msgspec; a = set(sys.modules); import {', '.join(names)}; print(*sorted(set(sys.modules) - a))"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "smallest_proto.audio" in loaded
    assert [name for name in loaded if within(name, *IMPURE)] == []
