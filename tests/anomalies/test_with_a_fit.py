"""With a fit the residuals are taken against its law's curves."""

import numpy as np


def test_healthy_runs_against_the_law(toy_frame, toy_fit, found):
    frame = toy_frame.copy()
    run = frame["run"].iloc[0]
    rows = np.flatnonzero(frame["run"] == run)
    result = found(frame, fit=toy_fit)
    assert len(result) == 0
    judged = result.rows[run]
    assert np.allclose(judged["loss"], frame["loss"].to_numpy()[rows])
    assert np.median(np.abs(judged["loss"] - judged["expected"])) < 0.05
