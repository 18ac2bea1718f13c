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
# # The pager went off: roll back, or carry on?
#
# Monday morning. Three variants of one model trained over the weekend on the same batches in the same order. The
# dashboard shows jumps in all three. Which of them are the data's doing, and which are the run's?
#
# The runs here are made up, so that we know the answer: every batch shifts all three losses alike, some batches are
# hard, and the runs' own noise is twenty times smaller than what they share. Two things are then broken on purpose.

# %%
# %matplotlib inline
import numpy as np
import pandas as pd

import bayeslaw as bl
from bayeslaw.laws import get_law
from bayeslaw.plots.anomalies import plot_anomalies

rng = np.random.default_rng(4)
STEPS, BATCH = 3000, 500_000
step = np.arange(1, STEPS + 1)
coefficients = {"E": 1.82, "A": 482.0, "alpha": 0.348, "B": 2085.0, "beta": 0.366}  # Besiroglu et al. 2024
batches = 0.08 * rng.standard_normal(STEPS)
hard = rng.choice(np.arange(600, STEPS), 6, replace=False)
batches[hard] += 0.6 + 0.3 * rng.random(6)

parts = []
for name, n_params in {"base": 1.2e8, "qk-norm": 1.3e8, "wide-mlp": 1.5e8}.items():
    loss = get_law("chinchilla").loss(coefficients, {"n_params": n_params, "tokens": (step + 50.0) * BATCH})
    loss = loss + batches + 0.004 * rng.standard_normal(STEPS)
    parts.append(pd.DataFrame({"run": name, "step": step, "tokens": step * BATCH, "loss": loss}))
table = pd.concat(parts, ignore_index=True)

qk = table["run"] == "qk-norm"
table.loc[qk & (table["step"] > 2000), "loss"] += 0.05  # a shift that stays
wide = table["run"] == "wide-mlp"
since = (table["step"] - 1200).clip(lower=0)
table.loc[wide & (since > 0), "loss"] += 0.25 * np.exp(-since / 40)  # a spike that heals

# %% [markdown]
# A shift of 0.05 nats, under noise of 0.08 per step. Seen alone, the run hides it. Its siblings read the same batches,
# though, and what they share cancels.

# %%
runs = bl.Runs.from_frame(table)
found = bl.anomalies(runs)
found.alignment[["run", "sibling", "offset", "correlation"]].round(3)

# %% [markdown]
# Nobody told it that the runs share an order: that was found, and checked, in the data. Next, the events.

# %%
columns = ["run", "kind", "start_step", "end_step", "magnitude", "evidence", "seen_at"]
found.frame[columns].round(3)

# %%
for row in found.frame.itertuples():
    print(f"{row.run}: {row.message}\n")

# %% [markdown]
# And what of the jumps that everyone saw on the dashboard? Hard batches, in all three runs at once. They are listed,
# and they are no anomalies.

# %%
print("hard batches were put at steps", sorted(int(s) + 1 for s in hard))
found.hard_batches.groupby("step").agg(runs=("run", "nunique"), own_sd=("own_sd", "max")).round(1)

# %%
figure = plot_anomalies(found, "qk-norm")
figure.set_dpi(80)
figure

# %%
figure = plot_anomalies(found, "wide-mlp")
figure.set_dpi(80)
figure

# %% [markdown]
# ## How much do siblings buy?
#
# The same run, judged by its own noise alone.

# %%
alone = bl.anomalies(bl.Runs.from_frame(table[qk]))
with_siblings = found.frame[found.frame["run"] == "qk-norm"]
print(f"qk-norm with its siblings: {len(with_siblings)} event(s); alone: {len(alone)}")

# %% [markdown]
# ## The decision
#
# Severity is what counts: how many nats a run is still worse off at the end of what is known.

# %%
# no event, or an interval of the present damage that holds zero, is no reason to act
harm = found.frame[found.frame["severity_lo90"] > 0].groupby("run")["severity"].max()
for name in runs.names:
    if name in harm:
        start = found.frame.loc[found.frame["run"] == name, "start_step"].min()
        print(f"{name}: roll back to a checkpoint before step {start:,.0f}; it is {harm[name]:.3f} nats worse off")
    else:
        print(f"{name}: carry on")

# %% [markdown]
# On a run that is still going, `bayeslaw watch train.jsonl` says the same while the file grows, and `bl.Monitor` does
# so inside your own loop. At what rate it raises false alarms, on real runs, stands in `benchmarks/anomalies.md`.
