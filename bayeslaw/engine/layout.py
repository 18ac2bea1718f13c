"""The shape of a model: which coordinates NUTS moves, in which order. No data, no numbers from a card.

A layout is hashable and names everything that changes the compiled program, so that two fits with the same layout and
the same (padded) array shapes share one compilation, whatever their priors and data are.

Every coordinate ``z`` is standard normal a priori, except a parameter's deviations, whose spread is itself a
coordinate: such a deviation is ``N(0, tau)`` around the level above, held in units of tau's prior median (centred:
training runs settle a parameter's deviation far better than its spread, and a non-centred form then bends into a
banana). Offsets are settled less well and are non-centred, in units of their spread.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

#: a level with fewer members says next to nothing of their spread: it is then fixed at its prior median, which spares
#: NUTS a funnel whose width is all prior
LEARNABLE = 6
#: an exponent beyond which a power is a step: slopes in log N that are followed over decades go on from there to powers
#: that no float holds, and 0 times infinity is no number
STEEPEST = 100.0

Link = Literal["log", "logit", "identity"]


@dataclass(frozen=True)
class Entry:
    """One symbol of the law: its link, whether it has a slope in log N, and the levels it is pooled over.

    ``around``: the symbol whose population value is the median of its own; its coordinate is then their log ratio.
    """

    symbol: str
    kind: Literal["amplitude", "shape"]
    link: Link
    slope: bool = False
    levels: tuple[tuple[str, int], ...] = ()
    around: str = ""

    @property
    def moving(self) -> bool:
        """Whether the symbol is an exponent, or another positive shape, that moves with log N."""
        return self.slope and self.kind == "shape" and self.link == "log"


@dataclass(frozen=True)
class Path:
    """A path of the log loss that the series of each member of a level share: the card's table that it comes from, the
    level, its number of knots on the grid of log x, and room for so many members."""

    name: str
    level: str
    knots: int
    members: int


@dataclass(frozen=True)
class Slot:
    """A stretch of ``z``: its name, length, and what it holds.

    ``"real"``: a number on its link scale; ``"positive"``: the log of one; ``"deviation"``: a level's deviations around
    the level above, in units of the prior median of their spread, the slot ``{name}:tau`` (centred); ``"scaled"``:
    deviations in units of the spread itself (non-centred). A spread that is fixed has no slot.
    """

    name: str
    length: int
    kind: Literal["real", "positive", "deviation", "scaled"]


@dataclass(frozen=True)
class Layout:
    """What is compiled.

    Attributes
    ----------
    law : name in ``bayeslaw.laws.LAWS``.
    entries : one per symbol, in the law's order.
    likelihood : ``"curves"`` (Gaussian on log loss, run effects and discrepancy integrated out) or ``"points"`` (one
        point per run: Student-t on log loss, no run level).
    offsets : levels whose members shift the whole log loss, with their numbers of members.
    effects : names of the run-level effects: ``"level"`` or a positive symbol of the law.
    knots : number of knots of the discrepancy on the grid of log x; 0 for none.
    clock : whether the power of the learning rate that counts as progress is sampled (``engine/clock.py``).
    paths : what members of a level share, innermost level first.
    ahead : whether the rows may be of sizes far from any fitted: exponents that move with log N are then held below
        ``STEEPEST``.
    """

    law: str
    entries: tuple[Entry, ...]
    likelihood: Literal["curves", "points"]
    offsets: tuple[tuple[str, int], ...] = ()
    effects: tuple[str, ...] = ()
    knots: int = 0
    clock: bool = False
    paths: tuple[Path, ...] = ()
    ahead: bool = False

    def slots(self) -> Iterator[Slot]:
        """Every stretch of ``z``, in order."""
        for entry in self.entries:
            yield Slot(entry.symbol, 1, "real")
            if entry.slope:
                yield Slot(f"{entry.symbol}:slope", 1, "real")
            yield from _level_slots(entry.symbol, entry.levels, "deviation")
        yield from _level_slots("offset", self.offsets, "scaled")
        if self.clock:
            yield Slot("schedule:clock", 1, "real")
        yield Slot("noise:sigma", 1, "positive")
        if self.likelihood == "points":
            yield Slot("noise:nu", 1, "positive")
            yield Slot("noise:by_x", 1, "real")
            yield Slot("noise:by_n", 1, "real")
        else:
            yield Slot("noise:early", 1, "positive")
            for effect in self.effects:
                yield Slot(f"effect:{effect}", 1, "positive")
            if self.knots:
                yield Slot("discrepancy:scale", 1, "positive")
                yield Slot("discrepancy:length", 1, "positive")
            for path in self.paths:
                yield Slot(f"{path.name}:scale", 1, "positive")
                yield Slot(f"{path.name}:length", 1, "positive")

    def placed(self) -> Iterator[tuple[Slot, slice]]:
        """Every slot and where it lies in ``z``."""
        start = 0
        for slot in self.slots():
            yield slot, slice(start, start + slot.length)
            start += slot.length

    @property
    def dim(self) -> int:
        """Number of coordinates."""
        return sum(slot.length for slot in self.slots())

    @property
    def effect_count(self) -> int:
        """Number of Gaussian run-level coefficients that are integrated out, per series."""
        return len(self.effects) + self.knots

    def coordinate_names(self) -> list[str]:
        """A name for every coordinate, deviations numbered."""
        names = []
        for slot in self.slots():
            single = slot.kind in ("real", "positive")
            names += [slot.name] if single else [f"{slot.name}[{i}]" for i in range(slot.length)]
        return names


def _level_slots(
    owner: str, levels: tuple[tuple[str, int], ...], kind: Literal["deviation", "scaled"]
) -> Iterator[Slot]:
    for level, count in levels:
        if count >= LEARNABLE:
            yield Slot(f"{owner}:{level}:tau", 1, "positive")
        yield Slot(f"{owner}:{level}", count, kind)
