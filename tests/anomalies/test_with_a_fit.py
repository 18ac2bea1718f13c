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


def test_a_forecast_past_an_event_is_not_dragged_by_it(toy_frame, toy_fit):
    """Given a run whose last rows spike: with the event left out the forecast is the one from the rows before it."""
    import pandas as pd

    import bayeslaw as bl
    from bayeslaw.anomalies import past_events

    run = toy_frame[toy_frame["run"] == toy_frame["run"].iloc[0]].reset_index(drop=True)
    seen = run.iloc[:50].copy()
    seen.loc[40:49, "loss"] += 0.5
    steps = seen["step"].to_numpy()
    events = pd.DataFrame(
        [{"run": run["run"].iloc[0], "kind": "spike", "start_step": steps[40], "end_step": steps[49]}]
    )
    at = run.iloc[70:].drop(columns="loss")

    def end(given):
        return bl.forecast(toy_fit, at=at, given=given, draws=50).frame["median"].to_numpy()

    past = end(past_events(bl.Runs.from_frame(seen), events))
    assert np.allclose(past, end(bl.Runs.from_frame(run.iloc[:40])))
    dragged = end(bl.Runs.from_frame(seen))
    truth = run["loss"].to_numpy()[70:]
    assert np.abs(past - truth).mean() < np.abs(dragged - truth).mean()
