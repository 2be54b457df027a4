"""Tests the tests: changes one thing in the code at a time, and sees whether a test fails (``make mutants``).

Each module has a session of cosmic-ray in ``build/mutants`` and a list of tests, which ``forked.py`` runs on each core.
What was done is not done again, so it can be stopped and goes on; only what lived without a reason is tried once more,
as a test may have come since, and a module that was changed begins anew. It works on copies of the tree: nothing here
is changed. A mutant that no test kills is told of, unless ``kept.toml`` says why it may live.

python tests/mutants/run.py                        all modules, one after the other
python tests/mutants/run.py timers retry           these
python tests/mutants/run.py --report               what is known so far
python tests/mutants/run.py --fresh timers         forget what was done
"""

from __future__ import annotations

import argparse
import fcntl
import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Container, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from multiprocessing.connection import Connection
from multiprocessing.queues import Queue
from multiprocessing.util import Finalize
from pathlib import Path
from typing import NamedTuple

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

import forked
import tables
from cosmic_ray import mutating, plugins
from cosmic_ray.commands import init
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import TestOutcome, WorkerOutcome, WorkItem, WorkResult
from modules import MODULES

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "mutants"
KEPT = Path(__file__).with_name("kept.toml")
# What would live for ever: ``X | None`` of annotations, which is never run; and ``==`` for ``is``, which says the same
# of ``None``, of a member of an enumeration and of an object that has no equals. The star before parameters that go by
# name alone is no operator at all.
NOT_RUN = re.compile(r"core/Replace(BinaryOperator_BitOr_|ComparisonOperator_(Is_Eq|IsNot_NotEq)$)")
FLOOR = 0.9  # share of the mutants of each module that must be killed

plugins.OPERATOR_PROVIDERS["tables"] = tables.OPERATORS


class Survivor(NamedTuple):
    """A mutant that all tests passed: the lines that it changed."""

    module: str
    was: str
    became: str


def session(module: str) -> Path:
    return BUILD / f"{module.replace('/', '.').removesuffix('.py')}.sqlite"


def make_tree(tree: Path) -> None:
    """Copy the project as it is now: what a mutant that was stopped left there is gone."""
    shutil.rmtree(tree, ignore_errors=True)
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, files.decode().split("\0")):
        if (ROOT / name).exists():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name)


def work_in(numbers: Queue[int]) -> None:
    """Begin a process that tries mutants: in a tree of its own, which is where the project is imported from."""
    tree = BUILD / f"tree-{numbers.get()}"
    make_tree(tree)
    os.chdir(tree)
    paths = [str(tree / folder) for folder in ("", "transports", "livekit_plugin")]
    sys.path[:0] = paths
    os.environ |= {"PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}
    forked.get_ready()


@functools.cache
def host(module: str) -> Connection:
    """The process that runs the tests of the module's functions."""
    pipe = forked.host(module, MODULES[module])
    Finalize(None, pipe.close, exitpriority=1)  # before it is waited for
    return pipe


@functools.cache
def patience(module: str) -> float:
    """Seconds that the tests of a mutant may take that is imported."""
    began = time.monotonic()
    plain = forked.run_tests(MODULES[module], seconds=600.0, keep_bytecode=True)
    if plain.code != 0:
        raise RuntimeError(f"the tests of {module} fail without any mutant:\n{plain.text}")
    return max(forked.AT_LEAST, forked.PATIENCE * (time.monotonic() - began))


def try_one(module: str, item: WorkItem) -> WorkResult:
    """Whether a test fails with this mutant."""

    def run_tests(tests: Sequence[str], _seconds: None) -> tuple[TestOutcome, str]:
        pipe = host(module)
        try:
            pipe.send(Path(module).read_text("utf-8"))
            killed = pipe.recv()
        except (EOFError, OSError):
            sys.exit(f"the process that runs the tests of {module} has ended")  # no result: it is no mutant's fault
        if killed is None:
            killed = forked.run_tests(tests, seconds=patience(module)).code != 0
        return (TestOutcome.KILLED if killed else TestOutcome.SURVIVED), ""

    host(module), patience(module)  # before the mutant is there
    for compiled in (Path(module).parent / "__pycache__").glob(f"{Path(module).stem}.*"):
        compiled.unlink()  # a mutant is written within the second, and can be as long: this would pass for it
    mutating.run_tests = run_tests  # cosmic-ray's own begins a new Python each time
    return mutating.mutate_and_test(item.mutations, MODULES[module], None)


def begin(module: str) -> None:
    """Make the session of a module, if there is none of it as it is now."""
    of, was = session(module), session(module).with_suffix(".py")
    now = (ROOT / module).read_bytes()
    if of.exists() and was.exists() and was.read_bytes() == now:
        return
    of.unlink(missing_ok=True)
    lines = now.decode("utf-8").splitlines()
    with use_db(of) as db:
        os.chdir(ROOT)
        init([Path(module)], db, {})
        for item in db.work_items:
            (row, column), operator = item.mutations[0].start_pos, item.mutations[0].operator_name
            if NOT_RUN.match(operator) or lines[row - 1].startswith("*,", column):
                db.set_result(item.job_id, WorkResult(WorkerOutcome.SKIPPED))
    was.write_bytes(now)


def to_do(module: str, may_live: Container[Survivor]) -> Iterator[WorkItem]:
    """What was not tried, or lived with no reason."""
    with use_db(session(module), WorkDB.Mode.open) as db:
        done = dict(db.results)
        for item in db.work_items:
            result = done.get(item.job_id)
            if result is None or (
                result.test_outcome is TestOutcome.SURVIVED and survivor(module, result) not in may_live
            ):
                yield item


def run(modules: Sequence[str]) -> None:
    BUILD.mkdir(parents=True, exist_ok=True)
    lock = (BUILD / "lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)  # another run has the trees
    for module in modules:
        begin(module)
    numbers, may_live = forked.FORK.Queue(), kept()
    cores = os.cpu_count() or 1
    for number in range(cores):
        numbers.put(number)
    with ProcessPoolExecutor(cores, forked.FORK, work_in, (numbers,)) as pool:
        futures: dict[Future[WorkResult], tuple[str, str]] = {}
        for module in modules:
            for item in to_do(module, may_live):
                futures[pool.submit(try_one, module, item)] = module, item.job_id
        try:
            for number, future in enumerate(as_completed(futures), 1):
                module, job = futures[future]
                with use_db(session(module), WorkDB.Mode.open) as db:
                    db.set_result(job, future.result())
                print(f"{number} of {len(futures)}: {module}", end="\r" if sys.stdout.isatty() else "\n", flush=True)
        finally:
            pool.shutdown(cancel_futures=True)


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
                survivors.append(survivor(module, result))
            elif result.test_outcome is TestOutcome.KILLED:  # one that could not be made says nothing of the tests
                killed += 1
    return Count(killed, len(survivors), open_, tuple(survivors))


def survivor(module: str, result: WorkResult) -> Survivor:
    return Survivor(module, *changed(result.diff or ""))


def changed(diff: str) -> tuple[str, str]:
    """The lines that a diff takes away, and those that it puts there."""
    lines = [line for line in diff.splitlines() if not line.startswith(("---", "+++"))]
    was, became = ("\n".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+")
    return was, became


def kept() -> dict[Survivor, str]:
    """The mutants that may live, each with its reason. A reason can hold for several things that a line became."""
    read = tomllib.loads(KEPT.read_text("utf-8"))
    return {
        Survivor(one["module"], one["was"], became): one["why"]
        for one in read.get("kept", ())
        for became in ([one["became"]] if isinstance(one["became"], str) else one["became"])
    }


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
    parser.add_argument("--fresh", action="store_true", help="forget what was done")
    options = parser.parse_args()
    modules = list(chosen(options.names))
    if not modules:
        parser.error(f"no such module: {', '.join(options.names)}; there are {', '.join(MODULES)}")
    if options.fresh:
        for module in modules:
            session(module).unlink(missing_ok=True)
    if not options.report:
        run(modules)
    return 0 if report(modules) else 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what is under way is ended, as by Ctrl-C
    sys.exit(main())
