"""Folders that hold runs: which trainer or logger wrote them, and which files belong to which run."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bayeslaw.data.table import Table
from bayeslaw.errors import FileError
from bayeslaw.readers import delimited, mlflow, sniff, sqlite, tensorboard, trainer_state, wandb
from bayeslaw.readers.combine import combine, unique_names
from bayeslaw.readers.source import Source

#: folders below the given one that are looked through, and how deep
MOST, DEPTH = 20_000, 6
_CHECKPOINT = re.compile(r"checkpoint-(\d+)")
_VERSION = re.compile(r"version_\d+")


def read(path: Path, wanted: frozenset[str] = frozenset()) -> Table:
    """Read a folder that transformers' Trainer, W&B, MLflow, TensorBoard or Lightning's CSV logger wrote.

    Where it holds logs of several kinds, which are mostly the same runs logged twice, the first kind in that order is
    read, and a note names the others.

    Raises FileError for any other folder.
    """
    found: dict[str, Callable[[], Table]] = {}
    state = _trainer_state(path)
    if state is not None:
        found["trainer_state.json"] = lambda: replace(
            trainer_state.read(Source(state, wanted)), run=path.resolve().name
        )
    logs: list[Path] = []
    stores: list[Path] = []
    events: dict[Path, list[Path]] = {}
    tables: list[Path] = []
    for folder, files in _walk(path):
        if mlflow.is_run(folder):
            stores.append(folder)
        for name in files:
            if name.endswith(".wandb"):
                logs.append(folder / name)
            elif ".tfevents." in name:
                events.setdefault(folder, []).append(folder / name)
            elif name == "metrics.csv" and _VERSION.fullmatch(folder.resolve().name):
                tables.append(folder / name)
    if logs:
        found["W&B"] = lambda: _wandb(logs)
    if stores:
        found["MLflow"] = lambda: mlflow.read_runs(sorted(stores))
    if (path / "mlflow.db").is_file():
        found["MLflow's database"] = lambda: sqlite.read(Source(path / "mlflow.db", wanted))
    if events:
        found["TensorBoard"] = lambda: _tensorboard(path, events)
    if tables:
        found["Lightning"] = lambda: _lightning(path, sorted(tables))
    if not found:
        raise FileError(_unknown(path))
    (kind, read_it), *others = found.items()
    table = read_it()
    if others:
        idle = " and ".join(name for name, _ in others)
        note = (
            f"{path} holds logs of {kind}, which were read, and of {idle}, which were not: give their folder or file."
        )
        table = replace(table, notes=(*table.notes, note))
    return table


def _walk(path: Path) -> list[tuple[Path, list[str]]]:
    """The folders below a path, with their files, without artifacts and checkpoints' innards."""
    found = []
    depth = len(path.parts)
    for folder, below, files in os.walk(path):
        here = Path(folder)
        found.append((here, sorted(files)))
        if len(found) > MOST:
            raise FileError(f"{path} holds more than {MOST:,} folders. Give the folder of the runs themselves.")
        deep = len(here.parts) - depth >= DEPTH
        below[:] = [] if deep else sorted(d for d in below if d != "artifacts" and not d.startswith("."))
    return found


def _trainer_state(path: Path) -> Path | None:
    """The newest trainer_state.json of an output folder of transformers' Trainer."""
    if (path / "trainer_state.json").is_file():
        return path / "trainer_state.json"
    numbered = [(int(m[1]), p) for p in path.iterdir() if (m := _CHECKPOINT.fullmatch(p.name))]
    states = [p / "trainer_state.json" for _, p in sorted(numbered, reverse=True)]
    return next((s for s in states if s.is_file()), None)


def _wandb(logs: list[Path]) -> Table:
    """Offline folders are named by their start, so that sorting them puts a run's resumes in order."""
    runs: dict[str, list[Path]] = {}
    names: dict[str, str] = {}
    for log in sorted(logs, key=lambda p: (p.parent.name.removeprefix("offline-"), p.name)):
        run = wandb.identity(log)
        key = run.id or log.stem.removeprefix("run-")
        runs.setdefault(key, []).append(log)
        names[key] = run.name or names.get(key, key)
    tables, named, failed = [], [], None
    for key, files in runs.items():
        try:
            tables.append(wandb.read_run(files))
        except FileError as error:  # a run that was stopped before its first row
            failed = error
            continue
        named.append((names[key], key))
    if not tables:
        assert failed is not None
        raise failed
    return combine([replace(t, run=n) for t, n in zip(tables, unique_names(named), strict=True)])


def _tensorboard(path: Path, events: dict[Path, list[Path]]) -> Table:
    """Each folder with event files is a run, called as TensorBoard calls it: by its path below the given one."""
    tables, failed = [], None
    for folder, files in events.items():
        name = folder.relative_to(path).as_posix()
        run = path.resolve().name if name == "." else name
        try:
            tables.append(tensorboard.read_run(sorted(files, key=_started), run))
        except FileError as error:  # hyperparameters, graphs
            failed = error
    if not tables:
        assert failed is not None
        raise failed
    return combine(tables)


def _lightning(path: Path, files: list[Path]) -> Table:
    """One run per ``version_N``, called by its path below the given folder."""
    tables = []
    for file in files:
        name = file.parent.relative_to(path).as_posix()
        tables.append(replace(delimited.read(Source(file)), run=path.resolve().name if name == "." else name))
    return combine(tables)


def _started(path: Path) -> tuple[float, str]:
    """When an event file was begun, which its name says: ``events.out.tfevents.<seconds>.<host>...``."""
    found = re.search(r"\.tfevents\.(\d+)", path.name)
    return (float(found[1]) if found else 0.0, path.name)


def _unknown(path: Path) -> str:
    files = sorted(p.name for p in path.iterdir() if any(s.lower() in sniff.SUFFIXES for s in p.suffixes))
    if not files:
        return f"{path} is a folder, and no file in it looks like a log. Give one of {sniff.KNOWN}."
    more = f" and {len(files) - 5:,} more" if files[5:] else ""
    return f"{path} is a folder. Give a file in it, or several: {', '.join(files[:5])}{more}."
