"""Notification: what is new is told, at least once, whatever interrupts the watcher."""

import importlib.util
import json

import numpy as np
import pytest

from bayeslaw.anomalies.notify import Notifier
from bayeslaw.anomalies.watch import Watch
from bayeslaw.errors import DataError, FileError


class Recorded:
    """Stands in for the services: remembers what it was told, and may be out of reach."""

    def __init__(self):
        self.told, self.reachable = [], True

    def send(self, events):
        if self.reachable:
            self.told += [(e.kind, e.open) for e in events]
        return self.reachable


@pytest.fixture
def log(make_family, tmp_path):
    frame = make_family(1, 500)
    frame.loc[frame["step"] >= 400, "loss"] += 3 * np.exp(-np.arange(101) / 10)
    path = tmp_path / "log.csv"
    frame.to_csv(path, index=False)
    return path


def watch(path, notifier):
    return Watch(path, path.with_suffix(".events"), path.with_suffix(".state"), notifier=notifier)


def test_what_could_not_be_told_is_told_at_the_next_start(log):
    service = Recorded()
    service.reachable = False
    list(watch(log, service).poll())
    lines = [json.loads(line) for line in log.with_suffix(".events").read_text().splitlines()]
    assert lines
    assert not service.told
    service.reachable = True
    list(watch(log, service).poll())
    assert service.told == [(e["kind"], e["open"]) for e in lines]


def test_messages_reach_a_service_and_closings_are_not_sent(log, monkeypatch):
    if importlib.util.find_spec("apprise") is None:
        pytest.skip("apprise is not installed")
    notifier, sent = Notifier(["json://localhost/hook"]), []
    monkeypatch.setattr(notifier._service, "notify", lambda **message: sent.append(message) or True)
    list(watch(log, notifier).poll())
    assert len(sent) == 1
    assert sent[0]["title"] == "1 event in r0"
    assert "Steps 400" in sent[0]["body"] or "Step 400" in sent[0]["body"]


def test_an_address_that_is_none():
    if importlib.util.find_spec("apprise") is None:
        with pytest.raises(FileError, match="notify"):
            Notifier(["slack://x"])
        return
    with pytest.raises(DataError, match="begins with 'nonsense'"):
        Notifier(["nonsense://secret"])
