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
# # Loops or parameters?
#
# A looped transformer runs the same layers several times: more computation per token, without more weights. Somebody
# proposes to loop the next model four times. It costs like a deeper model; is it as good as one?
#
# The law for that (arXiv 2604.21106) counts a looped model's parameters as `N_once + r^phi * N_rec`: with `phi = 0` a
# loop buys nothing, with `phi = 1` it is as good as new layers. So the proposal hangs on one exponent, and on how
# surely it is known.
#
# The grid below is made up from that law with `phi` = 0.46 and 0.2 % of noise, so that the answer is known.

# %%
# %matplotlib inline
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import bayeslaw as bl
from bayeslaw.laws import get_law
from bayeslaw.plan.looped import trade_off

TRUTH = {"E": 1.57, "A": 60.0, "alpha": 0.2, "phi": 0.46, "B": 5000.0, "beta": 0.4}
rng = np.random.default_rng(4)
sizes, loops, tokens = (2e7, 8e7, 3.2e8), (1.0, 2.0, 4.0), (2e9, 8e9, 3.2e10)
n, r, d = np.array([(n, r, d) for n in sizes for r in loops for d in tokens]).T
grid = pd.DataFrame(
    {
        "run": [f"run{i}" for i in range(len(n))],
        "n_params": n,
        "n_params_once": 0.3 * n,
        "n_params_recurrent": 0.7 * n,
        "recurrence": r,
        "tokens": d,
    }
)
law = get_law("iso-depth")
row = {name: grid[name].to_numpy() for name in law.covariates}
grid["loss"] = law.loss(TRUTH, row) * np.exp(0.002 * rng.standard_normal(len(n)))
grid.pivot_table(index=["n_params", "tokens"], columns="recurrence", values="loss").round(3)

# %% [markdown]
# Every row falls from left to right: loops help, at equal size and equal tokens. That is not yet the question, because
# a looped model also costs more to train and to serve.

# %%
fit = bl.fit(bl.Runs.from_frame(grid), model="iso-depth", seed=0)
fit.summary().loc[["phi", "alpha", "beta"]]

# %%
phi = fit.posterior["phi"].to_numpy().ravel()
low, high = np.quantile(phi, [0.05, 0.95])
print("sampling:", "can be trusted" if fit.check().ok else "cannot be trusted")
print(f"phi: median {np.median(phi):.2f}, 90 % {low:.2f} to {high:.2f}")
print(f"looped 4 times, a parameter in the loop is worth {4**low:.2f} to {4**high:.2f} parameters; it costs 4")

# %%
figure = Figure(figsize=(6.4, 3.2), dpi=80, layout="constrained")
left, right = figure.subplots(1, 2)
left.hist(phi, bins=30, color="#1f6feb", alpha=0.6)
left.axvline(TRUTH["phi"], color="black", linestyle=":", label="truth")
left.set(xlabel="phi", ylabel="posterior draws", title="one exponent")
left.legend(frameon=False)
times = np.linspace(1, 8, 40)
worth = np.quantile(times[:, None] ** phi, [0.05, 0.5, 0.95], axis=1)
right.fill_between(times, worth[0], worth[2], color="#1f6feb", alpha=0.3, linewidth=0, label="90 % band")
right.plot(times, worth[1], color="#1f6feb", label="median")
right.plot(times, times, color="black", linestyle=":", label="its cost")
right.set(xlabel="recurrent steps", ylabel="worth of a looped parameter", title="what a loop buys")
right.legend(frameon=False)
figure

# %% [markdown]
# ## Under one training budget
#
# Each recurrence at its own best size, for 3e20 FLOP of training.

# %%
training = trade_off(fit, "3e20 FLOP", equal="training")
print(training)

# %% [markdown]
# Serving may be what matters. Then every model gets the FLOP per token of the plain one, and a looped model is
# smaller: it needs less memory for the same speed.

# %%
inference = trade_off(fit, "3e20 FLOP", equal="inference")
print(inference)

# %% [markdown]
# And where memory is the limit, all have the same parameters, and looped ones see fewer tokens for the same budget.

# %%
memory = trade_off(fit, "3e20 FLOP", equal="parameters", n_params=2e8)
print(memory)

# %% [markdown]
# ## The decision

# %%
for what, found in {"training compute": training, "serving speed": inference, "memory": memory}.items():
    best = found.frame.loc[found.frame["p_best"].idxmax()]
    verdict = "undecided, leaning to" if best["p_best"] < 0.9 else "take"
    print(f"if {what} is the limit: {verdict} r = {best['recurrence']:g} (best with probability {best['p_best']:.2f})")

# %% [markdown]
# A looped model whose exits are trained has a loss at every recurrent step; the cards `looped-stepwise` and
# `looped-depth` model those, and `looped-total` the training loss (`bayeslaw models`).
