"""Events: their kinds, the record of one, and the sentence that tells a person on call what to do."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

#: kind -> what it is, in a few words
KINDS: dict[str, str] = {
    "point": "a single loss off the curve",
    "spike": "a spike that recovers",
    "malignant_spike": "a spike that does not come all the way back",
    "divergence": "a loss that grows and keeps growing",
    "level_up": "a step up to a higher level",
    "level_down": "a step down to a lower level",
    "drift": "a slow departure upwards from the expected curve",
    "drift_down": "a slow departure downwards from the expected curve",
    "plateau": "improvement that was expected and does not come",
    "variance": "noise that has grown",
    "nonfinite": "losses of NaN or infinity",
    "frozen": "a loss that repeats the same value",
    "repeated_data": "an unearned drop: data seen before",
    "rewind": "steps written again after a restart",
    "missing_steps": "steps that were never logged",
    "gradient": "a gradient norm far above its usual: an early warning",
}
#: kinds that make the run's loss worse for as long as they last
HARMFUL = ("malignant_spike", "divergence", "level_up", "drift", "plateau", "nonfinite")
#: of a spike nobody knows at its first rows whether it will be one that recovers
_OPEN_SPIKE = "a spike", "Whether it recovers is not known yet: watch the next rows."
#: of losses of NaN, after which finite ones came
_OVER = "Finite losses came after it: check that they are where they were, or roll back to a checkpoint before it."
_ADVICE = {
    "point": "Nothing to do unless it repeats.",
    "spike": "It has recovered; go on.",
    "malignant_spike": "Consider rolling back to a checkpoint before step {start} and skipping its batches.",
    "divergence": "Stop, roll back to a checkpoint before step {start}, and look at learning rate and gradients.",
    "level_up": "Look for what changed at step {start}: data mixture, batch size, a restart, a broken worker.",
    "level_down": "Look for what changed at step {start}: easier data, a new mixture, a loss mask.",
    "drift": "The run is leaving its curve: compare data and learning rate since step {start} with its siblings'.",
    "drift_down": "The run is better than its curve: check that data and evaluation are what they were.",
    "plateau": "Check the learning rate and whether new data arrive since step {start}.",
    "variance": "Look at the batch size and data shuffling since step {start}.",
    "nonfinite": "Stop the run and roll back to a checkpoint before step {start}.",
    "frozen": "The logger or the run hangs: the same value cannot come again by chance.",
    "repeated_data": "Check the data loader: batches since step {start} look like ones the run has seen.",
    "rewind": "Expected after a restart; the rows from step {start} on replace the earlier ones.",
    "missing_steps": "Check the logger between steps {start} and {end}.",
    "gradient": "Watch the next losses; if they rise, lower the learning rate, or roll back and skip these batches.",
}


@dataclass(frozen=True)
class Event:
    """One anomaly of one run.

    ``start_step``, ``peak_step``, ``end_step`` in optimizer steps (the row's position where a run has no steps);
    ``magnitude`` in nats, upwards positive, and ``magnitude_sd`` in sd of the healthy noise there; ``evidence``:
    log10 of the combined e-value; ``expected`` and ``loss`` at the peak, nats; ``severity``: nats by which the run's
    loss is still worse at the end of what is known (0 where it recovered), with its 90 % interval; ``siblings``: how
    many runs of one data order it was judged against; ``seen_at``: the step at which it was noticed. Of a ``gradient``
    warning ``expected`` and ``loss`` are the usual gradient norm and the one that came; it has no size in nats.
    """

    run: str
    kind: str
    probability: float
    start_step: float
    peak_step: float
    end_step: float
    magnitude: float
    magnitude_sd: float
    evidence: float
    expected: float
    loss: float
    severity: float
    severity_lo90: float
    severity_hi90: float
    siblings: int
    seen_at: float
    open: bool
    message: str = ""

    def record(self) -> dict[str, Any]:
        """The fields as a plain mapping, for tables and JSON."""
        return asdict(self)


#: columns of a table of events
COLUMNS = tuple(Event.__dataclass_fields__)


def told(event: Event, whose: bool = True) -> Event:
    """The event with its message; ``whose``: it is surely this run's."""
    return replace(event, message=sentence(event, whose))


def plain(
    run: str, kind: str, start: float, end: float, seen_at: float, is_open: bool, evidence: float = 30.0
) -> Event:
    """An event that is certain and has no size in nats: losses of NaN, steps written again or missing, ..."""
    nan = math.nan
    return told(
        Event(run, kind, 1.0, start, start, end, nan, nan, evidence, nan, nan, nan, nan, nan, 0, seen_at, is_open)
    )


def log10_of(evidence: float) -> float:
    """``evidence`` of an event as its record has it: log10, from 0 to 30."""
    return math.log10(min(max(evidence, 1.0), 1e30))


def sentence(event: Event, whose: bool = True) -> str:
    """What happened, how sure that is, and what to do, in a few short sentences; ``whose``: surely of this run."""
    span = _span(event)
    name, advice = KINDS[event.kind], _ADVICE[event.kind]
    if event.open and event.kind == "spike":
        name, advice = _OPEN_SPIKE
    if event.kind == "nonfinite" and not event.open:
        advice = _OVER
    if event.kind == "missing_steps":
        what = f"{span}: no rows, against a cadence that never had such a gap."
    elif event.kind == "gradient":
        what = f"{span}: {name} ({event.loss:.3g} where {event.expected:.3g} was usual)."
    elif event.kind in ("rewind", "nonfinite", "frozen"):
        what = f"{span}: {name}."
    else:
        size = f"{event.magnitude:+.3g} nats ({abs(event.magnitude_sd):.1f} sd)"
        at = f" where {event.expected:.4g} was expected" if event.kind != "variance" else " in the noise"
        sure = f", {100 * min(event.probability, 0.99):.0f} % sure of the kind" if event.probability < 0.9 else ""
        what = f"{span}: {name}, {size}{at}{sure}."
    cost = ""
    if event.kind in HARMFUL and event.severity == event.severity and event.severity > 0:
        cost = (
            f" As it stands the run is {event.severity:.3g} nats worse "
            f"(90 % {event.severity_lo90:.3g} to {event.severity_hi90:.3g})."
        )
    advice = advice.format(start=f"{event.start_step:,.0f}", end=f"{event.end_step:,.0f}")
    doubt = "" if whose else " There is one sibling only: which of the two runs it belongs to cannot be told yet."
    return f"{what}{cost}{doubt} {advice}"


def _span(event: Event) -> str:
    start, end = f"{event.start_step:,.0f}", f"{event.end_step:,.0f}"
    return f"Step {start}" if start == end else f"Steps {start}-{end}"
