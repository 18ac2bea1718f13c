"""The last word on events: what was said of one thing more than once, and echoes of what a sibling did."""

from __future__ import annotations

from collections.abc import Mapping

from bayeslaw.anomalies.events import Event
from bayeslaw.anomalies.shocks import Sibling

#: what needs no noise model
STRUCTURAL = ("nonfinite", "frozen", "missing_steps")


def settled(events: list[Event]) -> list[Event]:
    """The last word on each event; those that a structural event explains are left out."""
    last: dict[tuple[str, float], Event] = {}
    for event in events:
        # the kind of a departure may change from one word to the next
        last[event.kind if event.kind in STRUCTURAL else "", event.seen_at] = event
    final = list(last.values())
    frozen = [e for e in final if e.kind == "frozen"]
    return [
        e for e in final
        if e.kind in STRUCTURAL
        or not any(f.start_step <= e.start_step <= f.end_step + 1 for f in frozen)
    ]  # fmt: skip


def attributed(events: list[Event], siblings: Mapping[str, tuple[Sibling, ...]]) -> list[Event]:
    """Leave out echoes: what a sibling did, seen from the other side.

    An echo has the opposite sign of a larger event of a sibling at the same time. Two runs that have only each other
    see one event alike from both sides: it is taken to belong to the run that went up.
    """

    def echo(event: Event) -> bool:
        for sibling in siblings.get(event.run, ()):
            start = event.start_step + sibling.offset
            for e in events:
                opposite = e.magnitude * event.magnitude < 0 or event.kind == "variance"
                if e.run != sibling.run or not opposite or abs(e.start_step - start) > 30:
                    continue
                alike = abs(e.magnitude + event.magnitude) < 0.3 * abs(e.magnitude)
                if abs(e.magnitude) > 1.5 * abs(event.magnitude) or (
                    event.siblings == 1 and alike and event.magnitude < 0
                ):
                    return True
        return False

    return [event for event in events if not (event.siblings and echo(event))]
