# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Bring your own law
#
# A colleague swears by a simpler law: over-trained models, so Gadre et al. 2024 (arXiv 2403.08540) find, follow `L = E
# + (a M^eta + b M^-eta) C^-eta`, with `M` = tokens per parameter and `C` = 6 N D the training compute. One exponent
# instead of Chinchilla's two. Fewer parameters mean narrower bands, if it is true. Is it, on our runs?
#
# Put into N and D, the powers cancel: `a (6 N^2)^-eta + b (6 D^2)^-eta`. Three amplitudes and one shape, and the loss
# is linear in the amplitudes, which is all that the engine asks of a law.
#
# ## The law: thirty lines

# %%
# %matplotlib inline
import numpy as np
import pandas as pd

import bayeslaw as bl
from bayeslaw.laws import Law, Symbol, get_law, register
from bayeslaw.scores import crps, log_score


@register
class Overtraining(Law):
    """``L = E + (a M^eta + b M^-eta) C^-eta``, M = D / N, C = 6 N D; Gadre et al. 2024 (arXiv 2403.08540)."""

    name = "overtraining"
    title = "Over-training"
    formula = "L = E + a (6 N^2)^-eta + b (6 D^2)^-eta"
    reference = "Gadre et al. 2024, arXiv 2403.08540"
    covariates = ("n_params", "tokens")
    along = ("b",)  # the term that moves while a run trains
    symbols = (
        Symbol("E", "irreducible loss", "nats", "amplitude"),
        Symbol("a", "parameter term", "nats * FLOP^eta", "amplitude"),
        Symbol("b", "token term", "nats * FLOP^eta", "amplitude"),
        Symbol("eta", "exponent of compute", "1", "shape"),
    )

    def terms(self, p, x):
        return {
            "E": p["E"],
            "a": p["a"] * (6 * x["n_params"] ** 2) ** -p["eta"],
            "b": p["b"] * (6 * x["tokens"] ** 2) ** -p["eta"],
        }


# %% [markdown]
# One row at a time, in published units, no JAX in sight: batching, pooling, noise and gradients are the engine's. A
# law that breaks a rule is refused when it is registered, with a sentence that says which.
#
# ## The card: priors, each with its reason
#
# The prior of an amplitude is not on `a` itself, whose size nobody can guess, but on what its term is worth in nats
# for a typical run of the data. A card is a TOML file; a mapping in its form does as well.

# %%
from pathlib import Path  # noqa: E402

CARD = """
name = "overtraining"
law = "overtraining"
summary = "Final losses of over-trained models, one exponent."
reference = "Gadre et al. 2024, arXiv 2403.08540"

[parameters.E]
prior = "lognormal(1.7, 0.3)"
reason = "irreducible losses of published fits lie between 1.3 and 2.3 nats"

[parameters.a]
prior = "lognormal(0.5, 1)"
reason = "a few tenths of a nat, give or take a factor of e"

[parameters.b]
prior = "lognormal(0.5, 1)"
reason = "a few tenths of a nat, give or take a factor of e"

[parameters.eta]
prior = "lognormal(0.18, 0.4)"
reason = "half of Chinchilla's exponents, most of which are about a third"
"""
Path("overtraining.toml").write_text(CARD)
card = bl.load_card("overtraining.toml")
print(card)

# %% [markdown]
# ## The runs
#
# Made up, so that we know who is right: Chinchilla's law with exponents that *differ* (0.35 and 0.28), 40 runs, 0.4 %
# of noise. The colleague's law is wrong here by construction. Do the data say so?

# %%
TRUTH = {"E": 1.8, "A": 480.0, "alpha": 0.35, "B": 430.0, "beta": 0.28}
rng = np.random.default_rng(3)
n = np.tile(np.geomspace(2e7, 1e9, 8), 5)
per_param = np.repeat([5.0, 20.0, 80.0, 320.0, 640.0], 8)
table = pd.DataFrame({"run": [f"run{i}" for i in range(40)], "n_params": n, "tokens": n * per_param})
loss = get_law("chinchilla").loss(TRUTH, {"n_params": n, "tokens": n * per_param})
table["loss"] = loss * np.exp(0.004 * rng.standard_normal(40))

# %% [markdown]
# Hold back what costs most: both cards see the 28 cheapest runs and forecast the 12 dearest, and a 7B model that nobody
# has trained. Scores are of the whole predictive distribution: the log score and CRPS reward being near *and* saying
# how near; lower is better.

# %%
cost = table["n_params"] * table["tokens"]
cheap, dear = table[cost.rank() <= 28], table[cost.rank() > 28]
far = pd.DataFrame({"run": ["7B"], "n_params": [7e9], "tokens": [2e12]})
truth = dear["loss"].to_numpy()
at = pd.concat([dear, far])

rows, bands, losses = {}, {}, {}
for name, model in {"chinchilla": "chinchilla", "overtraining": card}.items():
    fit = bl.fit(bl.Runs.from_frame(cheap), model, seed=0)
    band = bl.forecast(fit, at=at, seed=0)
    held, bands[name] = band.frame.iloc[:-1], band.frame.iloc[-1]
    losses[name] = log_score(band.observed[:, :-1], truth)
    rows[name] = {
        "sampling": "ok" if fit.check().ok else "not ok",
        "log score": losses[name].mean(),
        "CRPS, nats": crps(band.observed[:, :-1], truth).mean(),
        "90 % band holds": np.mean((held["lo90"].to_numpy() <= truth) & (truth <= held["hi90"].to_numpy())),
        "7B, from": bands[name].curve_lo90,
        "7B, to": bands[name].curve_hi90,
    }
pd.DataFrame(rows).T

# %%
true = get_law("chinchilla").loss(TRUTH, {"n_params": 7e9, "tokens": 2e12})
print(f"the truth at 7B is {true:.3f} nats per token")

# %%
from matplotlib.figure import Figure  # noqa: E402

figure = Figure(figsize=(6.4, 2.2), dpi=80, layout="constrained")
ax = figure.subplots()
for y, band in enumerate(bands.values()):
    ax.plot([band.curve_lo90, band.curve_hi90], [y, y], linewidth=7, alpha=0.5, solid_capstyle="butt")
    ax.plot([band.curve_mean], [y], "o", color="black", markersize=4)
ax.axvline(true, color="black", linestyle=":", label="truth")
ax.set(yticks=range(len(bands)), yticklabels=list(bands), ylim=(-0.6, len(bands) - 0.4))
ax.set_xlabel("loss of 7B on 2T tokens, 90 % band of the curve (nats per token)")
ax.legend(frameon=False)
figure

# %% [markdown]
# ## The decision

# %%
difference = losses["overtraining"] - losses["chinchilla"]
better = "chinchilla" if difference.mean() > 0 else "overtraining"
error = difference.std(ddof=1) / np.sqrt(len(difference))
sure = "clearly" if abs(difference.mean()) > 2 * error else "not clearly"
gap = abs(bands["chinchilla"].curve_mean - bands["overtraining"].curve_mean)
print(
    f"{better} forecasts {sure} better: {abs(difference.mean()):.2f} in log score, standard error {error:.2f}, 12 runs."
)
print(f"At 7B the two laws part by {gap:.3f} nats. Plan with {better}.")

# %% [markdown]
# `bl.compare(runs, ["chinchilla", card])` does this for any number of cards, and leaves out one run at a time as well.
# Twelve runs are few: where it says that two laws cannot be told apart, the gap between them is part of your doubt.

# %%
Path("overtraining.toml").unlink()  # the notebook leaves nothing behind

# %% [markdown]
# To keep the law: put the class into a module of yours, import it before fitting or loading a fit, and give the card's
# path wherever a model's name goes. What a law must keep to stands in `bayeslaw/laws/base.py`, cards in
# `bayeslaw/cards.py`.
