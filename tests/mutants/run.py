"""Tests the tests: changes one thing in the code at a time, and sees whether a test fails (``make mutants``).

Each module has a session of cosmic-ray in ``build/mutants``, with the tests that concern it; what was done there is not
done again, so it can be stopped and goes on. It works on a copy of the tree: nothing here is changed. A mutant that no
test kills is told of, unless ``kept.toml`` says why it may live.

python tests/mutants/run.py                        all modules, one after the other
python tests/mutants/run.py timers retry           these
python tests/mutants/run.py --report               what is known so far
python tests/mutants/run.py --fresh timers         forget what was done
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Container, Iterator
from pathlib import Path
from typing import NamedTuple

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import TestOutcome

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "mutants"
KEPT = Path(__file__).with_name("kept.toml")
TRANSCRIPTION = "tests/core/transcription"

# The tests that can kill a mutant of a module, those that are likely to first: the rest is not run then.
MODULES = {
    "smallest_proto/timers.py": ("tests/core/test_timers.py", "tests/core/test_links.py", TRANSCRIPTION),
    "smallest_proto/retry.py": ("tests/core/test_retry.py", "tests/core/test_links.py"),
    "smallest_proto/link.py": ("tests/core/test_link.py", "tests/core/test_links.py", "tests/core", TRANSCRIPTION),
    "smallest_proto/transcription/states.py": (f"{TRANSCRIPTION}/test_states.py", TRANSCRIPTION),
    "smallest_proto/transcription/timeline.py": (f"{TRANSCRIPTION}/test_timeline.py", TRANSCRIPTION),
    "smallest_proto/transcription/turns.py": (f"{TRANSCRIPTION}/test_turns.py", TRANSCRIPTION),
    "smallest_proto/transcription/handover.py": (f"{TRANSCRIPTION}/test_handover.py", TRANSCRIPTION),
    "smallest_proto/transcription/sending.py": (f"{TRANSCRIPTION}/test_sending.py", TRANSCRIPTION),
    "smallest_proto/transcription/receiving.py": (f"{TRANSCRIPTION}/test_receiving.py", TRANSCRIPTION),
    "transports/smallest_transports/_wire/connection.py": ("tests/transports/test_wire.py", "tests/transports"),
    "transports/smallest_transports/_wire/client.py": ("tests/transports/test_wire.py", "tests/transports"),
}
# ``X | None`` of annotations is never run. A mutant there would live for ever.
NOT_RUN = ["core/ReplaceBinaryOperator_BitOr_.*"]
PATIENCE = 300.0  # seconds for the tests of one mutant: one that hangs is killed by that
FLOOR = 0.9  # share of the mutants of each module that must be killed


class Survivor(NamedTuple):
    """A mutant that all tests passed: the lines that it changed."""

    module: str
    was: str
    became: str


def session(module: str) -> Path:
    return BUILD / f"{module.replace('/', '.').removesuffix('.py')}.sqlite"


def make_tree() -> Path:
    tree = BUILD / "tree"
    if not tree.exists():
        tree.mkdir(parents=True)
        files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
        for name in filter(None, files.decode().split("\0")):
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name)
    return tree


def restore(module: str, tree: Path) -> None:
    """Put a module back as it was: one that was stopped in the middle of a mutant leaves it changed."""
    was = tree.with_name("unchanged") / module
    if was.exists():
        shutil.copy2(was, tree / module)
    else:
        was.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(tree / module, was)


def config(module: str) -> Path:
    tests = " ".join(MODULES[module])
    path = session(module).with_suffix(".toml")
    path.write_text(
        "[cosmic-ray]\n"
        f'module-path = "{module}"\n'
        f"timeout = {PATIENCE}\n"
        "excluded-modules = []\n"
        f'test-command = "{sys.executable} -m pytest -x -q -n 0 -p no:cacheprovider {tests}"\n'
        '[cosmic-ray.distributor]\nname = "local"\n'
        f"[cosmic-ray.filters.operators-filter]\nexclude-operators = {NOT_RUN}\n",
        "utf-8",
    )
    return path


def run(module: str, tree: Path) -> None:
    paths = (str(tree / folder) for folder in ("", "transports", "livekit_plugin"))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}
    made, of = str(config(module)), str(session(module))

    def tool(*words: str) -> None:
        subprocess.run([sys.executable, "-m", *words], cwd=tree, env=environment, check=True)

    restore(module, tree)
    tool("cosmic_ray.cli", "baseline", made)  # tests that fail anyhow would kill every mutant
    if not session(module).exists():
        tool("cosmic_ray.cli", "init", made, of)
        tool("cosmic_ray.tools.filters.operators_filter", of, made)
    tool("cosmic_ray.cli", "exec", made, of)


class Count(NamedTuple):
    killed: int
    lived: int
    open: int
    survivors: tuple[Survivor, ...]

    def share(self, may_live: Container[Survivor]) -> float:
        """Of those that no reason lets live."""
        wrong = sum(one not in may_live for one in self.survivors)
        return self.killed / (self.killed + wrong) if self.killed + wrong else 0.0


def count(module: str) -> Count:
    killed, survivors, open_ = 0, list[Survivor](), 0
    with use_db(session(module), WorkDB.Mode.open) as db:
        done = dict(db.results)
        for item in db.work_items:
            result = done.get(item.job_id)
            if result is None:
                open_ += 1
            elif result.test_outcome is TestOutcome.SURVIVED:
                survivors.append(Survivor(module, *changed(result.diff or "")))
            elif result.test_outcome is TestOutcome.KILLED:  # one that could not be made says nothing of the tests
                killed += 1
    return Count(killed, len(survivors), open_, tuple(survivors))


def changed(diff: str) -> tuple[str, str]:
    """The lines that a diff takes away, and those that it puts there."""
    lines = [line for line in diff.splitlines() if not line.startswith(("---", "+++"))]
    was, became = ("\n".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+")
    return was, became


def kept() -> dict[Survivor, str]:
    """The mutants that may live, each with its reason."""
    read = tomllib.loads(KEPT.read_text("utf-8"))
    return {Survivor(one["module"], one["was"], one["became"]): one["why"] for one in read.get("kept", ())}


def report(modules: list[str]) -> bool:
    """Print what is known; whether each module has its share, and every survivor its reason."""
    may_live, good = kept(), True
    print(f"{'module':52} {'killed':>7} {'lived':>6} {'open':>6} {'share':>7}")
    unexplained = []
    for module in modules:
        if not session(module).exists():
            continue
        of = count(module)
        print(f"{module:52} {of.killed:7} {of.lived:6} {of.open:6} {of.share(may_live):7.1%}")
        unexplained += [one for one in of.survivors if one not in may_live]
        good = good and of.share(may_live) >= FLOOR
    for one in unexplained:
        print(f"\nlives, and nobody says why: {one.module}\n- {one.was}\n+ {one.became}")
    return good and not unexplained


def chosen(names: list[str]) -> Iterator[str]:
    for module in MODULES:
        if not names or any(module.endswith((f"/{name}", f"/{name}.py")) for name in names):
            yield module


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="modules, such as timers or transcription/sending; all without any")
    parser.add_argument("--report", action="store_true", help="run nothing")
    parser.add_argument("--fresh", action="store_true", help="forget what was done, and take the tree anew")
    options = parser.parse_args()
    modules = list(chosen(options.names))
    if not modules:
        parser.error(f"no such module: {', '.join(options.names)}; there are {', '.join(MODULES)}")
    if options.fresh:
        for folder in ("tree", "unchanged"):
            shutil.rmtree(BUILD / folder, ignore_errors=True)
        for module in modules:
            session(module).unlink(missing_ok=True)
    if not options.report:
        tree = make_tree()
        for module in modules:
            run(module, tree)
    return 0 if report(modules) else 1


if __name__ == "__main__":
    sys.exit(main())
