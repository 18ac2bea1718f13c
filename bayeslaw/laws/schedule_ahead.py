"""A schedule from now on: a line that leaves out what a run has settled already, filled in and joined to its past.

The run has settled its rate and its warm-up. ``wsd`` without a total decays from now: the decay's share of the whole
then says where the run ends. A rate that is held or decays from now on is the one that the run has now, a cosine's peak
the run's own. Up to now the run's own history stands; the schedule's line decides what follows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from bayeslaw.errors import FitError
from bayeslaw.laws.schedule import Schedule
from bayeslaw.laws.schedule_text import KINDS

#: a decay of fewer steps is hardly meant
FEW = 10


def still_ahead(asked: str | Schedule, title: str, past: Schedule, now: int, run: str) -> Schedule:
    """A schedule as it was given, or of its line (``from_now``). FitError if it ends before the run has come so far."""
    ahead = asked if isinstance(asked, Schedule) else from_now(asked, past, now)
    if ahead.total <= now:
        raise FitError(
            f"The schedule {title!r} ends at step {ahead.total:,}, and run {run!r} is at step {now:,} already. "
            f"Give a larger total."
        )
    return ahead


def from_now(text: str, past: Schedule, now: int) -> Schedule:
    """A schedule's line with what it leaves out filled in from the run's past.

    That is the warm-up; for ``wsd`` the total of a decay that begins now; and the peak. A rate that the line holds
    after ``now``, or lowers from then on, is the rate of now (of which a final fraction is one, then). A shape that
    began before, as every cosine has, began at the run's own peak. DataError if the line cannot be read.
    """
    kind, named = _read(text)
    if kind is None:
        return Schedule.parse(text)  # which says what is wrong with it
    own_peak = "peak" not in named
    named.setdefault("peak", repr(past.eta_peak))
    named.setdefault("warmup", str(past.warmup))
    if kind == "wsd" and "total" not in named:
        try:
            decay = float(named.get("decay", 0.2))
        except ValueError:
            return Schedule.parse(text)
        # a share of the whole, of which what is done is the rest; or a number of steps
        length = round(decay) if decay > 1 else math.ceil(now * decay / (1 - decay)) if 0 < decay < 1 else 0
        if length < 2:
            raise FitError(
                f"decay={decay:g} in {text!r} leaves nothing to decay over: give a share such as 0.2, or steps."
            )
        named |= {"total": str(now + length), "decay": str(length)}
    whole = Schedule.parse(_line(kind, named))
    rate = float(past.rate(now))
    # still warming up, or done and at rest: the rate of now is none to go on with
    if not own_peak or now < past.warmup or rate == 0 or float(whole.rate(now)) < whole.eta_peak:
        return whole
    return Schedule.parse(_line(kind, named | {"peak": repr(rate)}))


def _read(text: str) -> tuple[str | None, dict[str, str]]:
    """Kind and arguments of a schedule's line, which need not be complete; no kind where it cannot be read at all."""
    head, _, rest = text.partition(":")
    kind = head.strip().lower().replace("-", "_")
    pairs = [part.partition("=") for part in rest.split(",") if part.strip()]
    named = {key.strip(): value.strip() for key, _, value in pairs}
    readable = kind in KINDS and all(equals for _, equals, _ in pairs) and len(named) == len(pairs)
    return (kind if readable else None), named


def _line(kind: str, named: Mapping[str, str]) -> str:
    return f"{kind}:" + ",".join(f"{key}={value}" for key, value in named.items())


def short_decay(asked: str | Schedule) -> list[str]:
    """A note where a decay was written as a handful of steps, as a slip of the pen for a share would be."""
    decay = float(_read(asked)[1].get("decay", 0)) if isinstance(asked, str) else 0.0
    told = f"{asked}: a decay above 1 is a number of steps, so it takes {decay:g} steps; up to 1 it is a share."
    return [told] if 1 < decay < FEW else []


def joined(past: Schedule, ahead: Schedule, now: int) -> Schedule:
    """The past up to step ``now``, then the schedule ahead."""
    before, after = past.steps < now, ahead.steps > now + 1
    steps = np.concatenate([past.steps[before], [now, now + 1], ahead.steps[after]])
    rates = np.concatenate([past.rates[before], past.rate([now]), ahead.rate([now + 1]), ahead.rates[after]])
    return Schedule(steps, rates, past.warmup if past.warmup <= now else ahead.warmup)
