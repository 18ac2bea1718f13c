"""Learning-rate schedules, and the sums of them that the annealing laws read.

A schedule is the rate of every optimizer step, kept as a few knots with straight lines between them. Rates are in
the trainer's own unit. Step ``t`` is the state after ``t`` updates, so the sums run over updates 1 to ``t``.

What the laws get (all of it from :meth:`Schedule.covariates`):

``step``, ``S1``, ``warm``
    one number per row: the step, the rates summed up to it, and the warm-up's share of that sum;
``seg_step0``, ``seg_step1``
    the stretches of the schedule on which the rate changes after the warm-up, in steps;
``seg_S0``, ``seg_S1``
    S1 at the two ends of each stretch;
``seg_eta``
    the rate in the middle of the stretch's drop;
``seg_drop``
    the rate at its start minus the rate at its end (negative where the rate rises).

A schedule with fewer stretches than asked for is padded with empty ones, whose drop is 0. The warm-up's increments
are in S1 and not among the stretches; but runs of several peak rates are told apart by one stretch in front, the drop
from the highest of their peaks (``top``) to the run's own rate after its warm-up.

**The clock.** How far training has come is told by summed rates, but twice the rate is less than twice the progress:
with ``clock`` below 1 an update counts ``eta * (eta / ETA_UNIT) ** (clock - 1)``. At 1, the published laws' sums. An
update of the warm-up counts its share of the rate that the warm-up ends with, whatever the clock: to count the low
rates there for more would move the origin of the power law, for which long constant rates pay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayeslaw.errors import DataError
from bayeslaw.laws import schedule_shapes as shapes
from bayeslaw.laws.schedule_text import read_schedule
from bayeslaw.laws.segments import compress

#: below this a rate counts as this, so that ``eta ** -gamma`` stays finite
ETA_FLOOR = 1e-12
#: the rate that counts as itself whatever the clock
ETA_UNIT = 1e-3
#: a straight line of rates is no straight line of their powers: it is cut into at most so many
PIECES = 32
#: peaks closer than this share of themselves are one
SAME_RATE = 0.01


@dataclass(frozen=True, eq=False)
class Schedule:
    """A learning-rate schedule: straight lines between knots.

    Parameters
    ----------
    steps : (k,) whole numbers, increasing, the first is 0.
    rates : (k,) rate at each knot, finite and not negative. After the last knot the last rate holds.
    warmup : the last step of the warm-up; 0 if there is none.

    Raises
    ------
    DataError
        if the knots are not such.
    """

    steps: NDArray[np.float64]
    rates: NDArray[np.float64]
    warmup: int = 0

    def __post_init__(self) -> None:
        steps, rates = np.asarray(self.steps, float), np.asarray(self.rates, float)
        if steps.ndim != 1 or steps.shape != rates.shape or steps.size == 0:
            raise DataError(
                f"A schedule needs as many rates as steps, in two plain lists; got {steps.shape} and {rates.shape}."
            )
        bad = ~np.isfinite(rates) | (rates < 0)
        if bad.any():
            i = int(np.argmax(bad))
            raise DataError(f"The learning rate at step {steps[i]:g} is {rates[i]:g}; it must be a number >= 0.")
        bad = ~np.isfinite(steps) | (steps != np.round(steps))
        if bad.any():
            raise DataError(f"A schedule's steps are whole numbers; got {steps[int(np.argmax(bad))]:g}.")
        if steps[0] != 0 or (np.diff(steps) <= 0).any():
            i = int(np.argmax(np.diff(steps) <= 0)) if steps[0] == 0 else -1
            found = f"{steps[0]:g} first" if i < 0 else f"{steps[i + 1]:g} after {steps[i]:g}"
            raise DataError(f"A schedule's steps begin at 0 and increase; got {found}.")
        object.__setattr__(self, "steps", steps)
        object.__setattr__(self, "rates", rates)

    @classmethod
    def constant(cls, peak: float, total: int, warmup: int = 0) -> Schedule:
        """A linear warm-up from 0 over ``warmup`` steps, then ``peak`` to the end, at step ``total``."""
        return cls(*shapes.constant(peak, total, warmup), warmup=warmup)

    @classmethod
    def cosine(cls, peak: float, total: int, warmup: int = 0, final_fraction: float = 0.1) -> Schedule:
        """A linear ``warmup`` (steps), half a cosine from ``peak`` to ``final_fraction * peak`` at step ``total``."""
        return cls(*shapes.cosine(peak, total, warmup, final_fraction), warmup=warmup)

    @classmethod
    def wsd(
        cls,
        peak: float,
        total: int,
        warmup: int = 0,
        decay: float = 0.2,
        shape: str = "linear",
        final_fraction: float | None = None,
    ) -> Schedule:
        """Warm-up over ``warmup`` steps, stable at ``peak``, decay.

        ``decay`` up to 1 is a share of ``total``, above 1 a number of steps. ``shape`` is ``"linear"``,
        ``"exponential"``, ``"cosine"`` or ``"1-sqrt"``; the last rate is ``final_fraction * peak`` (default 0, and
        0.1 for the exponential, which cannot reach 0).
        """
        return cls(*shapes.wsd(peak, total, warmup, decay, shape, final_fraction), warmup=warmup)

    @classmethod
    def two_stage(cls, peak: float, second: float, at: int, total: int, warmup: int = 0) -> Schedule:
        """A linear ``warmup`` (steps), ``peak`` up to update ``at - 1``, ``second`` from ``at`` to ``total``."""
        return cls(*shapes.two_stage(peak, second, at, total, warmup), warmup=warmup)

    @classmethod
    def from_rows(
        cls, step: ArrayLike, lr: ArrayLike, *, before: str = "linear", warmup: int | None = None
    ) -> Schedule:
        """The schedule that a run's logged rates tell of.

        Between rows the rate is a straight line, except for a lone jump between two level stretches, which happens
        at the later row's own step (a logged rate is that of the update the row counts).

        Parameters
        ----------
        step, lr : (n,) steps (whole, increasing; several rows of one step: the last counts) and logged rates.
        before : the rate before the first row: ``"linear"``, a ramp from 0 at step 0 to the first logged rate; or
            ``"constant"``, the first logged rate. Anything else, say the stable part of a resumed run, is told by
            rows put in front.
        warmup : last step of the warm-up. By default the warm-up ends where the rate first stops rising, and is at
            least the ramp before the first row.

        Raises
        ------
        DataError
            if a step or a rate is unusable, naming it.
        """
        return cls(*shapes.from_rows(step, lr, before, warmup))

    @classmethod
    def parse(cls, text: str) -> Schedule:
        """The schedule that a line such as ``wsd:peak=3e-4,total=24000,warmup=2000,decay=0.2,shape=linear`` names.

        Raises DataError, with what came and a line that works, if it cannot be read.
        """
        kind, arguments = read_schedule(text)
        return getattr(cls, kind)(**arguments)

    @property
    def total(self) -> int:
        """Last step that a knot describes."""
        return int(self.steps[-1])

    @property
    def eta_peak(self) -> float:
        """Highest learning rate of the schedule."""
        return float(self.rates.max())

    def rate(self, steps: ArrayLike) -> NDArray[np.float64]:
        """Rate at each of ``steps``; after the last knot the last rate."""
        return np.interp(np.asarray(steps, float), self.steps, self.rates)

    def sums(self, steps: ArrayLike, clock: float = 1.0) -> NDArray[np.float64]:
        """S1: the rates of updates 1 to ``steps``, summed as the ``clock`` counts them.

        Exact for whole steps at ``clock`` 1, without walking them: between knots the rate is a straight line, whose
        sum over whole steps is its integral plus half the difference of its ends. A fractional step (the centre of a
        bin) interpolates. With another clock, lines are cut into pieces, to about four digits.
        """
        if clock != 1.0:
            return self._counted(clock).sums(steps)
        t = np.asarray(steps, float)
        area = np.concatenate([[0.0], np.cumsum(np.diff(self.steps) * (self.rates[1:] + self.rates[:-1]) / 2)])
        i = np.clip(np.searchsorted(self.steps, t, side="right") - 1, 0, None)
        rate = self.rate(t)
        return area[i] + (t - self.steps[i]) * (rate + self.rates[i]) / 2 + (rate - self.rates[0]) / 2

    def progress(self, steps: ArrayLike, clock: float = 1.0) -> dict[str, NDArray[np.float64]]:
        """``S1`` at ``steps`` (n,), and ``warm``, the warm-up's share of it: 1 until it ends, then falling; 0 without
        one. ``clock`` as in ``sums``."""
        summed = self.sums(np.append(self.warmup, np.asarray(steps, float)), clock)
        before, s1 = summed[0], summed[1:]
        return {"S1": s1, "warm": before / np.maximum(s1, before) if before > 0 else np.zeros(s1.shape)}

    def _counted(self, clock: float) -> Schedule:
        """The schedule of what each update counts: itself at clock 1."""
        if clock == 1.0:
            return self
        steps, rates = self._pieces
        worth = np.where(rates > 0, ETA_UNIT * (rates / ETA_UNIT) ** clock, 0.0)
        end = float(self.rate(self.warmup))
        if self.warmup and end > 0:
            worth = np.where(steps < self.warmup, rates * (end / ETA_UNIT) ** (clock - 1), worth)
        return Schedule(steps, worth, self.warmup)

    @cached_property
    def _pieces(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Steps so close that any power of the rate is nearly straight between them, and the rates there."""
        bent = np.diff(self.rates) != 0
        parts = np.where(bent, np.minimum(np.diff(self.steps), PIECES), 1).astype(int)
        cuts = [np.linspace(a, b, n + 1)[:-1] for a, b, n in zip(self.steps[:-1], self.steps[1:], parts, strict=True)]
        steps = np.unique(np.round(np.concatenate([*cuts, self.steps[-1:]])))
        return steps, self.rate(steps)

    def segments(
        self, m: int, edges: Sequence[float] | None = None, clock: float = 1.0, top: float | None = None
    ) -> dict[str, NDArray[np.float64]]:
        """The schedule's life after the warm-up in ``m`` stretches: six arrays of shape (m,), see the module's head.

        ``edges`` are steps that must be a boundary as well; ``top`` the highest peak among the runs that are compared,
        by default this schedule's own; ``clock`` as in ``sums``. Raises DataError if ``m`` is not positive.
        """
        if m < 1:
            raise DataError(f"A schedule needs at least one segment; got m={m}.")
        own, counted = float(self.rate(self.warmup)), self._counted(clock)
        lower = top is not None and abs(top - own) > SAME_RATE * max(top, own)
        start, end = compress(self.steps, self.rates, self.warmup, max(m - lower, 1), edges)
        rate0, rate1, n = self.rate(start), self.rate(end), np.maximum(end - start, 1.0)
        drop = rate0 - rate1
        # The updates of a stretch are start+1 ... end: their middle lies half a step after the stretch's own.
        middle = self.rate(start + (n + 1) / 2) if len(start) else rate0
        arrays = {
            "seg_step0": start,
            "seg_step1": end,
            "seg_S0": counted.sums(start),
            "seg_S1": counted.sums(end),
            "seg_eta": middle,
            "seg_drop": drop,
        }
        if top is not None and lower:
            first = max(self.warmup, 1)
            head = (0.0, first, 0.0, counted.sums(first), own, top - own)
            arrays = {k: np.append(v, a) for (k, a), v in zip(arrays.items(), head, strict=True)}
        pad = m - len(arrays["seg_drop"])
        fill = {"seg_step0": self.total, "seg_step1": self.total + 1, "seg_eta": self.eta_peak or 1.0}
        last = float(counted.sums(self.total))
        return {
            key: np.concatenate([a, np.full(pad, fill.get(key, 0.0 if key == "seg_drop" else last))])
            for key, a in arrays.items()
        }

    def covariates(self, steps: ArrayLike, m: int = 64) -> dict[str, NDArray[np.float64]]:
        """``step``, ``S1`` and ``warm`` of shape (n,), one of each of ``steps``; the run's ``seg_*`` of shape (m,)."""
        t = np.asarray(steps, float)
        return {"step": t, **self.progress(t), **self.segments(m)}
