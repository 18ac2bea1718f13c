"""The table that every other part reads: many runs, one row per logged step, canonical column names.

The contract, in short. ``run`` (text) and ``loss`` (nats per token) are always there; ``step``, ``tokens``, ``group``,
``n_params``, ``lr`` and the other columns of ``bayeslaw.data.columns.CANONICAL`` where they are known. Every row of
the source is kept, in its order; ``kept`` says whether it belongs to its run's curve and ``facts`` why not. Nothing
is derived unless asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayeslaw.data.build import build
from bayeslaw.data.columns import CANONICAL, is_canonical
from bayeslaw.data.curves import Curves, order_curves
from bayeslaw.data.explain import count_of, explain
from bayeslaw.data.facts import COLUMNS, facts_frame
from bayeslaw.data.fingerprint import fingerprint
from bayeslaw.data.table import Table, as_frame, column
from bayeslaw.errors import DataError

if TYPE_CHECKING:
    from bayeslaw.data.bins import Bins


@dataclass(frozen=True, eq=False, repr=False)
class Runs:
    """Training runs and their losses.

    Attributes
    ----------
    frame : DataFrame in canonical columns, then ``kept`` (bool: the row is part of its run's curve), ``row`` (1-based
        row of the source, header not counted), then the source's other columns untouched. Rows in the source's order.
        Treat it as read-only: everything computed from it is cached.
    facts : DataFrame run, kind, row, step, count, message: what was noticed; ``facts.KINDS`` lists the kinds.
    mapping : canonical column → the source's name for it.
    source : where the table came from.
    notes : sentences about how the table was read.
    nonfinite : bool array, True at rows whose loss was logged as NaN or infinity, for an empty cell reads as NaN too;
        None where that is not known.
    """

    frame: pd.DataFrame
    facts: pd.DataFrame
    mapping: Mapping[str, str] = field(default_factory=dict)
    source: str = "a table"
    notes: tuple[str, ...] = ()
    nonfinite: np.ndarray | None = None

    @classmethod
    def from_frame(
        cls,
        df: Any,
        *,
        columns: Mapping[str, str] | None = None,
        batch_tokens: float | str | None = None,
        need_loss: bool = True,
        source: str = "a table",
        **constants: Any,
    ) -> Runs:
        """Check a table and take it in.

        Parameters
        ----------
        df : a DataFrame, a mapping of columns, a list of mappings, or a pyarrow or polars table: one row per logged
            step. Columns are found by name, the trainers' own included; an index with a name counts as a column.
        columns : canonical name → name in ``df``, where finding would fail or choose otherwise.
        batch_tokens : tokens per optimizer step (4e6 or "4M"); then ``tokens`` is step times this. Never assumed.
        need_loss : False for rows to forecast, which have covariates only; all of them count as kept.
        source : what to call the table in messages.
        **constants : a canonical column with one value for all rows: ``n_params="70B"``, ``group="c4"``.

        Raises
        ------
        DataError
            The table breaks the contract; the message names run, column and row.
        """
        return cls.from_table(
            Table.of_frame(as_frame(df, source)),
            columns=None if columns is None else {name: str(column) for name, column in columns.items()},
            batch_tokens=batch_tokens,
            need_loss=need_loss,
            source=source,
            **constants,
        )

    @classmethod
    def from_table(
        cls,
        table: Table,
        *,
        columns: Mapping[str, str] | None = None,
        batch_tokens: float | str | None = None,
        need_loss: bool = True,
        source: str = "a table",
        default_run: str = "run",
        **constants: Any,
    ) -> Runs:
        """As ``from_frame``, whose ``columns``, ``batch_tokens``, ``need_loss``, ``source`` and ``constants`` it takes.

        ``table`` is what a reader returns; ``default_run`` names the run of a table without run names. DataError as
        there.
        """
        constants = {name: value for name, value in constants.items() if value is not None}
        for name in constants:
            if not is_canonical(name) or name == "loss":
                raise DataError(
                    f"{name}= is not a column that can be filled in: use n_params=, group=, recurrence=, ..."
                )
        return cls(
            **build(
                table,
                columns=columns,
                constants=constants,
                batch_tokens=batch_tokens,
                need_loss=need_loss,
                source=source,
                default_run=default_run,
            )
        )

    @classmethod
    def concat(cls, runs: Sequence[Runs]) -> Runs:
        """Join tables of different runs. DataError if two of them share a run name, or there is nothing to join."""
        runs = list(runs)
        if not runs:
            raise DataError("There are no tables to join. Give at least one Runs.")
        seen: dict[str, str] = {}
        for part in runs:
            for name in part.frame["run"].unique():
                if name in seen:
                    raise DataError(
                        f"Run {name!r} is in two of the tables ({seen[name]} and {part.source}). Rename one, or load "
                        f"the files together, in the order in which they were written, if they are parts of one run."
                    )
                seen[name] = part.source
        frame = pd.concat([part.frame for part in runs], ignore_index=True)
        first = [c for c in frame.columns if is_canonical(c)]
        rest = [c for c in frame.columns if c not in first and c not in ("kept", "row")]
        order = {c: i for i, c in enumerate(_canonical_names(first))}
        bad = [part.nonfinite for part in runs if part.nonfinite is not None]
        facts = [tuple(f) for part in runs for f in part.facts[list(COLUMNS)].itertuples(index=False)]
        return cls(
            frame=frame.reindex(columns=[*sorted(first, key=order.__getitem__), "kept", "row", *rest]),
            facts=facts_frame(facts),
            mapping={k: v for part in reversed(runs) for k, v in part.mapping.items()},
            source=" + ".join(dict.fromkeys(part.source for part in runs)),
            notes=tuple(dict.fromkeys(note for part in runs for note in part.notes)),
            nonfinite=None if len(bad) < len(runs) else np.concatenate(bad),
        )

    @cached_property
    def curves(self) -> Curves:
        """The kept rows sorted into curves, as positions into ``frame``; what bins and plots are computed from."""
        return order_curves(self.frame, self.frame["kept"].to_numpy())

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The runs that have a kept row, in order of appearance."""
        return tuple(str(name) for name in pd.unique(self.frame.loc[self.frame["kept"], "run"]))

    @property
    def dropped(self) -> tuple[str, ...]:
        """The runs that were left out because they have not one finite loss."""
        return tuple(self.facts.loc[self.facts["kind"] == "dropped_run", "run"])

    @property
    def has_loss(self) -> bool:
        """Whether the table has losses (rows to forecast have none)."""
        return "loss" in self.frame

    @cached_property
    def one_point(self) -> bool:
        """True if every run has one kept row (per exit step): a table of final losses, not of curves."""
        return bool(np.all(np.diff(self.curves.starts) == 1))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the kept rows' canonical columns, whatever their order: tells whether two tables agree."""
        return fingerprint(self.frame.loc[self.frame["kept"]], [c for c in self.frame.columns if is_canonical(c)])

    def where(self, which: str | pd.Series | np.ndarray | Sequence[bool]) -> Runs:
        """The rows that a mask or a pandas query selects, such as ``"split == 'fit'"``, with their runs' facts.

        ``kept`` stays as it was settled on the whole table. DataError if the query fails or selects nothing.
        """
        if isinstance(which, str):
            try:
                mask = self.frame.eval(which)
            except Exception as error:
                raise DataError(
                    f"Cannot apply the selection {which!r} ({error}). It is a pandas query over the columns "
                    f"{', '.join(map(str, self.frame.columns))}."
                ) from None
        else:
            mask = which
        mask = np.asarray(mask)
        if mask.dtype != bool or mask.shape != (len(self.frame),):
            raise DataError(
                f"A selection is a query or one True or False for each of the {len(self.frame):,} rows; "
                f"this one has shape {mask.shape} and type {mask.dtype}."
            )
        if not mask.any():
            raise DataError(f"The selection{f' {which!r}' if isinstance(which, str) else ''} matches no row.")
        frame = self.frame.loc[mask].reset_index(drop=True)
        facts = self.facts[self.facts["run"].isin(list(set(column(frame, "run"))))].reset_index(drop=True)
        bad = None if self.nonfinite is None else self.nonfinite[mask]
        return replace(self, frame=frame, facts=facts, nonfinite=bad)

    def select(self, *runs: str) -> Runs:
        """Some runs by name, ``select("a", "b")``. DataError names the ones that are not there."""
        there = list(dict.fromkeys(self.frame["run"]))
        missing = [name for name in runs if name not in there]
        if missing or not runs:
            what = f"There is no run {', '.join(map(repr, missing))}." if runs else "No run was named."
            raise DataError(f'{what} There are {_some(self.names)}: select("<name>", "<another>").')
        return self.where(self.frame["run"].isin(runs).to_numpy())

    def curve(self, name: str, exit_step: float | None = None) -> pd.DataFrame:
        """The kept rows of one run, along its axis (step, else tokens, else flops).

        A run with losses at several exit steps gives them one after the other, the total loss last, unless
        ``exit_step`` picks one. DataError for an unknown name or exit step.
        """
        at = self._position_of.get(name)
        if at is None and name in self.dropped:
            raise DataError(f"Run {name!r} has not one finite loss. Those that have are {_some(self.names)}.")
        if at is None:
            raise DataError(f"There is no run {name!r}. There are {_some(self.names)}.")
        curves = self.curves
        which = [c for c in at if exit_step is None or curves.exit_step[c] == exit_step]
        if not which:
            steps = [curves.exit_step[c] for c in at]
            there = ", ".join("the total loss" if np.isnan(step) else f"{step:g}" for step in steps)
            raise DataError(f"Run {name!r} has no loss at exit step {exit_step:g}; it has {there}.")
        rows = np.concatenate([curves.order[curves.starts[c] : curves.starts[c + 1]] for c in which])
        return self.frame.iloc[rows].reset_index(drop=True)

    @cached_property
    def _position_of(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for c, run in enumerate(self.curves.run):
            found.setdefault(self.curves.names[run], []).append(c)
        return found

    @cached_property
    def _bins(self) -> dict[tuple, Bins]:
        return {}

    def bins(
        self, *, per_decade: float | None = None, max_bins: int = 40, first: float | None = None, linear: float = 0.5
    ) -> Bins:
        """The curves reduced to bins; remembered per choice of parameters.

        ``per_decade`` bins per decade of tokens, at most ``max_bins`` of them, from ``first`` on, the share ``linear``
        of them evenly spaced: see ``bayeslaw.data.bins.bin_runs``.
        """
        from bayeslaw.data.bins import bin_runs

        key = (per_decade, max_bins, first, linear)
        if key not in self._bins:
            self._bins[key] = bin_runs(self, per_decade=per_decade, max_bins=max_bins, first=first, linear=linear)
        return self._bins[key]

    def explain(self) -> str:
        """How the table was read: columns, notes and facts, in lines of at most 80 characters."""
        return explain(self)

    def __len__(self) -> int:
        """Number of rows, kept or not."""
        return len(self.frame)

    def __repr__(self) -> str:
        shape = "one point each" if self.one_point else f"{len(self.curves.order):,} points"
        return f"<Runs: {count_of(len(self.names))}, {shape}, from {self.source}>"


def _canonical_names(names: list[str]) -> list[str]:
    gates = sorted((n for n in names if n not in CANONICAL), key=lambda n: int(n[5:]))
    return [*CANONICAL, *gates]


def _some(names: Sequence[str], show: int = 5) -> str:
    shown = ", ".join(repr(n) for n in names[:show])
    return shown if len(names) <= show else f"{shown} and {len(names) - show:,} more"
