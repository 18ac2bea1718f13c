"""Made-up runs of one data order: a power law, shared shocks with hard batches, and a little noise of their own."""

import numpy as np
import pandas as pd
import pytest


def family(runs: int, steps: int, seed: int = 0, own: float = 0.004, shared: float = 0.08) -> pd.DataFrame:
    """``runs`` runs named r0, r1, ... of ``steps`` rows each, losses in nats per token."""
    rng = np.random.default_rng(seed)
    step = np.arange(1, steps + 1, dtype=float)
    shock = shared * rng.standard_normal(steps)
    hard = rng.random(steps) < 0.003
    shock[hard] += np.abs(rng.normal(0, 0.6, hard.sum()))
    parts = []
    for k in range(runs):
        loss = 2.5 + 0.02 * k + 8.0 * (step + 20) ** -0.35 + shock + own * rng.standard_normal(steps)
        parts.append(pd.DataFrame({"run": f"r{k}", "step": step, "tokens": step * 1e5, "loss": loss}))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="session")
def make_family():
    """``make_family(runs, steps, seed)``: a frame of healthy runs that share their batches."""
    return family


@pytest.fixture
def found():
    """``found(frame, **options)``: the events of a frame."""
    from bayeslaw.anomalies import anomalies
    from bayeslaw.data.runs import Runs

    def run(frame, **options):
        return anomalies(Runs.from_frame(frame), **options)

    return run
