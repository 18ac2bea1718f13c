"""Gradient norms warn before the loss does, offline and in the stream, and keep quiet on healthy ones."""

import json

import numpy as np
import pytest

from bayeslaw.anomalies.monitor import Monitor


@pytest.fixture
def frame(make_family):
    made = make_family(1, 700)
    # no hard batches: a run alone cannot tell them from anomalies
    made["loss"] = made["loss"].clip(upper=made["loss"].rolling(25, center=True, min_periods=1).median() + 0.2)
    rng = np.random.default_rng(3)
    made["grad_norm"] = 2.0 * made["step"] ** -0.2 * np.exp(0.1 * rng.standard_normal(700))
    return made


def test_a_jump_is_told_at_once(frame, found):
    frame.loc[frame["step"].between(500, 520), "grad_norm"] *= 8
    frame.loc[frame["step"] >= 505, "loss"] += 2.0
    offline = found(frame).frame
    assert offline["kind"].tolist()[0] == "gradient"
    assert offline["seen_at"].tolist()[0] == 500
    assert "was usual" in offline["message"].tolist()[0]
    monitor, told = Monitor(), []
    rows = frame.to_dict(orient="records")
    for start in range(0, 700, 90):
        told += monitor.feed(rows[start : start + 90])
        monitor = Monitor.from_json(json.loads(json.dumps(monitor.to_json())))
    assert [e.seen_at for e in told if e.kind == "gradient"] == [500.0]
    assert told[0].kind == "gradient"
    assert told[0].loss == pytest.approx(8 * told[0].expected, rel=0.5)


def test_healthy_norms_and_norms_that_fall_are_no_warning(frame, found):
    frame.loc[frame["step"] == 400, "grad_norm"] /= 30
    frame.loc[frame["step"] == 450, "grad_norm"] = np.nan
    assert len(found(frame)) == 0
