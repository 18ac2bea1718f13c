"""Fits whose draws are put together by hand around known coefficients: no sampling, exact truths."""

import numpy as np
import pandas as pd
import pytest


def _frame(law, rng, *, looped=False, groups=("web",), flops_ratio=None):
    rows = []
    for group in groups:
        for n in np.geomspace(5e7, 5e9, 7):
            for per in (5.0, 20.0, 80.0):
                for r in (1, 2, 4) if looped else (1,):
                    rows.append({"group": group, "n_params": n, "tokens": n * per, "recurrence": float(r)})
    frame = pd.DataFrame(rows)
    frame["run"] = [f"r{i}" for i in range(len(frame))]
    share = np.where(frame["recurrence"] > 1, 0.5, 1.0)
    frame["n_params_once"] = frame["n_params"] * (1 - share)
    frame["n_params_recurrent"] = frame["n_params"] * share
    frame["loss"] = 1.8 + 480 / frame["n_params"] ** 0.35 + 2100 / frame["tokens"] ** 0.37
    frame["loss"] *= np.exp(0.003 * rng.standard_normal(len(frame)))
    if flops_ratio is not None:
        frame["flops"] = 6 * frame["n_params"] * frame["tokens"] * flops_ratio(frame)
    keep = ["run", "group", "n_params", "tokens", "loss"] + (["flops"] if flops_ratio is not None else [])
    keep += ["recurrence", "n_params_once", "n_params_recurrent"] if looped else []
    return frame[keep]


@pytest.fixture(scope="session")
def made_fit():
    """``made_fit(card, spread=0.05, draws=200, **frame options)``: a Fit with draws around the prior's centre."""
    from bayeslaw.cards import load_card
    from bayeslaw.data.runs import Runs
    from bayeslaw.engine.assemble import assemble
    from bayeslaw.fit import Fit

    made = {}

    def make(card="chinchilla", spread=0.05, draws=200, **options):
        key = (card, spread, draws, tuple(sorted((k, v) for k, v in options.items())))
        if key not in made:
            rng = np.random.default_rng(5)
            one = load_card(card)
            problem = assemble(one, Runs.from_frame(_frame(card, rng, **options)))
            z = spread * rng.standard_normal((1, draws, problem.layout.dim))
            made[key] = Fit(one, problem, z, {}, {"seed": 0})
        return made[key]

    return make


@pytest.fixture(scope="session")
def law_of():
    """Loss of a table's rows by a law that is known, nats per token."""
    return lambda frame: 1.8 + 480 / frame["n_params"] ** 0.35 + 2100 / frame["tokens"] ** 0.37


@pytest.fixture(scope="session")
def fit_of():
    """``fit_of(frame, draws)``: a fit that knows its noise, 0.5 % in a nearly Gaussian Student-t, and no law yet."""
    from bayeslaw.cards import load_card
    from bayeslaw.data.runs import Runs
    from bayeslaw.engine.assemble import assemble
    from bayeslaw.fit import Fit

    card = load_card({"name": "plain", "extends": "chinchilla", "law": "chinchilla", "offset": {"size": False}})

    def make(frame, draws=400):
        problem = assemble(card, Runs.from_frame(frame.assign(run=[f"r{i}" for i in range(len(frame))])))
        z = np.zeros((1, draws, problem.layout.dim))
        at = problem.layout.coordinate_names().index("noise:nu")
        z[..., at] = (np.log(200.0) - problem.data["prior"]["loc"][at]) / problem.data["prior"]["scale"][at]
        return Fit(card, problem, z, {}, {"seed": 0})

    return make
