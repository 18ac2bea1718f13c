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
# # Is this run worth finishing?
#
# A 778M model has seen 5 billion of its 20 billion tokens. The next stage needs a loss of **2.84 nats per token**. The
# remaining three quarters of the budget are still ours to keep: will it get there?
#
# Five smaller runs are finished, alike in everything but size. That is what a scaling law is for. And a single fitted
# line is not enough: the decision hangs on how *sure* the forecast is.
#
# The runs are made up from the coefficients that Prairie et al. 2026 (arXiv 2604.12946) print for their 140M model, in
# Chinchilla's form, with 0.2 % of difference between runs and 0.4 % of noise per row. So the end is known, and the
# forecast can be marked.

# %%
# %matplotlib inline
import numpy as np
import pandas as pd

import bayeslaw as bl
from bayeslaw.laws import get_law
from bayeslaw.plots.bands import plot_band

SIZES = {"7M": 7e6, "18M": 18e6, "53M": 53e6, "134M": 134e6, "374M": 374e6, "778M": 778e6}
COEFFICIENTS = {"E": 2.662, "A": 522733.0, "alpha": 0.771, "B": 25420.0, "beta": 0.525}
rng, parts = np.random.default_rng(7), []
for name, n_params in SIZES.items():
    last = 5e9 if name == "778M" else 2e10
    tokens = np.geomspace(5e8, last, 60)
    ahead = np.geomspace(6e9, 2e10, 8) if name == "778M" else []
    tokens = np.concatenate([tokens, ahead])
    loss = get_law("chinchilla").loss(COEFFICIENTS, {"n_params": n_params, "tokens": tokens})
    loss = loss * np.exp(0.002 * rng.standard_normal() + 0.004 * rng.standard_normal(len(tokens)))
    split = np.where(np.arange(len(tokens)) < 60, "fit", "test")
    parts.append(pd.DataFrame({"run": name, "n_params": n_params, "tokens": tokens, "loss": loss, "split": split}))
runs = bl.Runs.from_frame(pd.concat(parts, ignore_index=True))
runs.frame.groupby("run", sort=False).agg(
    n_params=("n_params", "first"), last_tokens=("tokens", "max"), rows=("loss", "size")
)

# %% [markdown]
# What lies ahead is kept apart: the fit must not see it. `split` marks it, and in your own log it is simply not there
# yet.

# %%
known = runs.where("split == 'fit'")
ahead = runs.where("split == 'test' and run == '778M'")
fit = bl.fit(known, model="chinchilla", seed=0)
print(fit)

# %% [markdown]
# Read the verdict before anything else. If a check fails, the bands mean nothing, and the text says what to do.
#
# The 778M run was part of the fit, so its forecast continues its own curve: it starts from where *this* run is, a
# little above or below what the law says of its size.

# %%
band = bl.forecast(fit, at=ahead, levels=(0.5, 0.9), seed=0)
band.frame[["tokens", "median", "lo50", "hi50", "lo90", "hi90"]].round(4)

# %%
figure = plot_band(band, runs.select("778M"), given=known.select("778M"), level=0.9)
figure.set_dpi(80)
figure

# %% [markdown]
# Two bands, and the difference matters. `lo90` to `hi90` is where a *logged loss* should fall, noise and all;
# `curve_lo90` to `curve_hi90` bounds the smooth curve beneath. The question here is about the curve.
#
# The draws are there, so a question needs no formula: count them.

# %%
TARGET = 2.84
final = band.curve[:, -1]
reached = float(np.mean(final <= TARGET))
low, high = np.quantile(final, [0.05, 0.95])
print(f"final curve: median {np.median(final):.3f}, 90 % {low:.3f} to {high:.3f} nats per token")
print(f"probability of {TARGET} or lower at 20B tokens: {reached:.0%}")

# %% [markdown]
# And if the run were given more than 20 billion tokens? Rows to forecast are only covariates, so ask for as many as
# you like. The further they lie from anything trained, the wider the band, as it should be.

# %%
further = (
    ahead.frame[["run", "n_params"]]
    .iloc[:1]
    .loc[lambda f: f.index.repeat(6)]
    .assign(tokens=np.array([20, 24, 30, 40, 60, 80]) * 1e9)
)
long = bl.forecast(fit, at=further, seed=0)
odds = (long.curve <= TARGET).mean(axis=0)
for tokens, p, row in zip(further["tokens"], odds, long.frame.itertuples(), strict=True):
    print(f"{tokens / 1e9:3.0f}B tokens: {row.curve_lo90:.3f} to {row.curve_hi90:.3f}, P(target) {p:.0%}")

# %% [markdown]
# ## The decision

# %%
enough = further["tokens"].to_numpy()[odds >= 0.9]
if reached >= 0.9:
    print("Finish the run as planned.")
elif len(enough):
    print(f"20B tokens reach {TARGET} with {reached:.0%} only: plan {enough[0] / 1e9:.0f}B tokens, or lower the bar.")
else:
    print(f"Stop: even {further['tokens'].max() / 1e9:.0f}B tokens reach {TARGET} in fewer than 9 of 10 cases.")

# %% [markdown]
# The rest of the run is known here, so the forecast can be marked.

# %%
loss = ahead.frame["loss"].to_numpy()
inside = (loss >= band.frame["lo90"].to_numpy()) & (loss <= band.frame["hi90"].to_numpy())
print(f"{inside.sum()} of {len(inside)} held-back losses lie in their 90 % band; the last one was {loss[-1]:.3f}")

# %% [markdown]
# Eight points of one run err together, so this is one trial and not eight. On your own runs, `bl.backtest(runs,
# model="chinchilla")` repeats it over all of them; `docs/guide/trust.md` says what came of that on public curves, and
# where bands were too narrow.
