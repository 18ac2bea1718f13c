"""Anomalies: what is wrong with a run, as early as can be known, at a false-alarm rate that holds."""

from bayeslaw.anomalies.aftermath import Aftermath, aftermath, past_events
from bayeslaw.anomalies.events import KINDS, Event
from bayeslaw.anomalies.monitor import Monitor
from bayeslaw.anomalies.offline import Anomalies, anomalies

__all__ = ["KINDS", "Aftermath", "Anomalies", "Event", "Monitor", "aftermath", "anomalies", "past_events"]
