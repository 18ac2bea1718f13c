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
# To learn it, a grid of small models was trained on Python source: five sizes, looped 1, 2, 4 and 8 times. The grid is
# real and comes with the package (`examples/looplm` trains it on a laptop). Final losses, in nats per byte:

# %%
# %matplotlib inline
import numpy as np

import bayeslaw as bl
from bayeslaw.demo import hardest, looped_curves, settled
from bayeslaw.plan.looped import trade_off
from bayeslaw.plots.style import DATA, FORECAST, INK, blank, tidy

runs = settled(looped_curves("code", steps=False))
ends = runs.frame[runs.frame["tokens"] > 8.7e5].groupby("run").head(25)  # as far as the shortest runs go
ends.pivot_table(index="n_params", columns="recurrence", values="loss").round(3)

# %% [markdown]
# All are compared here at 0.9 million tokens, where the shortest runs end. Every row falls from left to right: loops
# help, at equal size and equal tokens. That is not yet the question, because a looped model also costs more to train
# and to serve.
#
# The largest model at its greatest depth is kept out of the fit. It is what we would want to know before training it.

# %%
largest = hardest(runs)
known = runs.where((runs.frame["run"] != largest).to_numpy())
fit = bl.fit(known, model="iso-depth", seed=0, max_bins=8)
fit.summary().loc[["phi", "alpha", "beta"]]

# %%
phi = fit.posterior["phi"].to_numpy().ravel()
low, high = np.quantile(phi, [0.05, 0.95])
print("sampling:", "can be trusted" if fit.check().ok else "cannot be trusted")
print(f"phi: median {np.median(phi):.2f}, 90 % {low:.2f} to {high:.2f}")
print(f"looped 4 times, a parameter in the loop is worth {4**low:.2f} to {4**high:.2f} parameters; it costs 4")

# %% [markdown]
# Does the law foretell the run that it has not seen?

# %%
held = runs.select(largest)
band = bl.forecast(fit, at=held, seed=0).frame
loss = held.frame["loss"].to_numpy()
inside = (loss >= band["lo90"]) & (loss <= band["hi90"])
miss = np.mean(band["median"] - loss)
print(f"{largest}: {inside.mean():.0%} of {len(loss)} losses inside the 90 % band; too high by {miss:.3f} on average")

# %%
figure = blank(7.6, 3.3, dpi=80)
left, right = figure.subplots(1, 2)
tokens = band["tokens"] / 1e6
left.plot(tokens, loss, color=DATA, linewidth=0.6, label="not fitted")
left.fill_between(tokens, band["lo90"], band["hi90"], color=FORECAST, alpha=0.25, linewidth=0, label="90 % band")
left.plot(tokens, band["median"], "--", color=FORECAST, label="forecast, median")
left.set(xlabel="million tokens", ylabel="loss (nats per byte)", title="the largest model, looped 8 times")
times = np.linspace(1, 8, 40)
worth = np.quantile(times[:, None] ** phi, [0.05, 0.5, 0.95], axis=1)
right.plot(times, times, color=INK, linestyle=":", label="its cost")
right.fill_between(times, worth[0], worth[2], color=FORECAST, alpha=0.25, linewidth=0, label="its worth, 90 % band")
right.plot(times, worth[1], "--", color=FORECAST, label="its worth, median")
right.set(xlabel="recurrent steps", ylabel="parameters", title="what a parameter in the loop buys", xticks=(1, 2, 4, 8))
for ax in (left, right):
    tidy(ax)
    ax.legend(frameon=False, fontsize=9)
figure

# %% [markdown]
# ## Under one training budget
#
# Each recurrence at its own best size, for 1e13 FLOP of training, about as much as the dearest run of the grid took.

# %%
training = trade_off(fit, "1e13 FLOP", equal="training")
print(training)

# %% [markdown]
# Serving may be what matters. Then every model gets the FLOP per token of the plain one, and a looped model is
# smaller: it needs less memory for the same speed.

# %%
inference = trade_off(fit, "1e13 FLOP", equal="inference")
print(inference)

# %% [markdown]
# And where memory and data both run out (here 50 thousand parameters and 2 million tokens), compute is left over, and
# a loop is the one way to spend it.

# %%
memory = trade_off(fit, "1e13 FLOP", equal="parameters", n_params=5e4, limits={"max_tokens": 2e6})
print(memory)

# %% [markdown]
# ## The decision

# %%
limits = {"training compute": training, "serving speed": inference, "memory and data": memory}
for what, found in limits.items():
    best = found.frame.loc[found.frame["p_best"].idxmax()]
    verdict = "undecided, leaning to" if best["p_best"] < 0.9 else "take"
    print(f"limited by {what}: {verdict} r = {best['recurrence']:g} (best with probability {best['p_best']:.2f})")

# %% [markdown]
# This holds for models of this size and make, and for the tokens that the grid saw; the printed notes say how far
# beyond them an answer reaches. A grid of one's own is fitted in the same lines.
#
# A looped model whose exits are trained has a loss at every recurrent step; the cards `looped-stepwise` and
# `looped-depth` model those, and `looped-total` the training loss (`bayeslaw models`).
