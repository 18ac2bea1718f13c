"""Plans on public losses: against the published optimum, every approach side by side, and on budgets held back.

    python benchmarks/planning.py [plans] [approaches] [rolling]

Writes its sections of planning.md. Recovery and replay have scripts of their own.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
from quick import INTERACTION, PLAIN, quick_fit
from report import DATA, write

import bayeslaw as bl
from bayeslaw.cards import load_card
from bayeslaw.plan import plan, target
from bayeslaw.plan.approaches import compare, parabola_bias
from bayeslaw.plan.costs import SIX_N, cost_of
from bayeslaw.plan.flops import Transformer, looped_per_token, per_token, training_flops
from bayeslaw.plan.isoflop import frontier, parabola_bottoms, profiles
from bayeslaw.plan.limits import Limits
from bayeslaw.plan.optimum import closed_form, numerical, optimum
from bayeslaw.plan.surface import Surface

#: the fits of this page with 4 chains of 500 draws, seed 0


def chinchilla() -> bl.Runs:
    """Epoch AI's reading of Chinchilla's runs, without the five highest losses."""
    runs = bl.load(DATA / "epoch-chinchilla" / "runs.csv")
    return runs.where(~runs.frame.index.isin(runs.frame["loss"].nlargest(5).index))


def plans() -> None:
    """Counts of FLOP, and the chinchilla card's plan at three budgets."""
    gpt3 = Transformer(layers=96, width=12288, heads=96, vocabulary=50257, sequence=2048)
    big = Transformer(layers=80, width=8192, heads=64, vocabulary=32000, sequence=2048)
    frame = pd.read_csv(DATA / "looped-iso-depth" / "runs.csv").query("group == 'vanilla'")
    width = frame["run"].str.extract(r"/s(\d+)$")[0].astype(int)
    rest = frame["flops_per_token"] - looped_per_token(
        frame["n_params_once"], frame["n_params_recurrent"], frame["recurrence"]
    )
    lines = ["| count | ours / published |", "|---|---|"]
    lines.append(f"| GPT-3 175B, 300B tokens, 3.14e23; 6 N D | {training_flops(174.6e9, 300e9) / 3.14e23:.3f} |")
    for name in ("palm", "hoffmann"):
        lines.append(
            f"| Chinchilla 70B, 1.4T tokens, 5.76e23; {name} | {per_token(big, name) * 1.4e12 / 5.76e23:.3f} |"
        )
        lines.append(f"| GPT-3 175B; {name} | {per_token(gpt3, name) * 3e11 / 3.14e23:.3f} |")
    lines.append(f"| Chinchilla; 6 N D | {training_flops(70e9, 1.4e12) / 5.76e23:.3f} |")
    values = sorted(set(rest / width))
    lines.append(f"| looped-iso-depth, what 6 (N_once + r N_rec) leaves per token, over s | {values} |")
    fit = bl.fit(chinchilla(), "chinchilla", seed=0)
    found = {c: plan(fit, c) for c in (1e21, 5.76e23, 1e25)}
    a = next(iter(found.values())).exponents.loc["a"]
    lines += [
        "",
        f"Chinchilla (240 runs, chinchilla card): a = {a['median']:.3f}, 90 % {a['lo90']:.3f}-{a['hi90']:.3f} "
        "(Epoch AI .513, sd .020).",
        "",
        "| budget | N*, median (90 %) | tokens per parameter | hi / lo | loss there | closed form's error, at most |",
        "|---|---|---|---|---|---|",
    ]
    surface = Surface(fit)
    for c, p in found.items():
        n, t, loss = (p.frame.loc[k] for k in ("n_params", "tokens_per_param", "loss"))
        exact = closed_form(surface, SIX_N, c)
        worst = np.abs(numerical(surface, SIX_N, Limits(), c, 1.0)[0] / exact - 1).max()
        lines.append(
            f"| {c:.3g} | {n['median'] / 1e9:.3g}B ({n['lo90'] / 1e9:.3g}-{n['hi90'] / 1e9:.3g}) | {t['median']:.1f} "
            f"({t['lo90']:.1f}-{t['hi90']:.1f}) | {t['hi90'] / t['lo90']:.2f} | {loss['median']:.4f} "
            f"({loss['lo90']:.4f}-{loss['hi90']:.4f}) | {worst:.1e} |"
        )
    reached = target(fit, 2.0).budget
    lines += [
        "",
        f"A loss of 2.0 takes {reached['median']:.3g} FLOP, 90 % {reached['lo90']:.3g}-{reached['hi90']:.3g}.",
    ]
    write("plans", lines)


def approaches() -> None:
    """All isoFLOP corpora in one fit, a group each; approaches 1-3 beside it; approach 2's own error."""
    runs = bl.load(DATA / "isoflops" / "runs.csv")
    fit = bl.fit(runs, "chinchilla", seed=0)
    lines = [
        f"IsoFLOP corpora, one pooled fit ({'passes' if fit.check().ok else 'does not pass'} its checks); N* at 1e23 "
        "FLOP; "
        "a token costs what each group's runs were measured to cost.",
        "",
        "| corpus | approach | a (90 %) | b (90 %) | N* at 1e23 (90 %) |",
        "|---|---|---|---|---|",
    ]
    bias = []
    for group in fit.problem.levels["group"]:
        for row in compare(runs, fit, 1e23, group=group).itertuples():
            spans = [
                f"{getattr(row, k):.3f} ({getattr(row, k + '_lo90'):.3f}-{getattr(row, k + '_hi90'):.3f})" for k in "ab"
            ]
            size = _span(row.n_params, row.n_params_lo90, row.n_params_hi90)
            lines.append(f"| {group.split('__')[0]} | {row.method} | {spans[0]} | {spans[1]} | {size} |")
        frame = parabola_bias(runs, fit, 3.8e25, group=group)
        inner = frame["ratio"].iloc[:-1]
        bias.append(f"| {group.split('__')[0]} | {inner.min():.3f}-{inner.max():.3f} | {frame['ratio'].iloc[-1]:.3f} |")
    lines += [
        "",
        "Approach 2 on a surface that is known: the fit's own, without noise, at the runs' own N and D. Parabola's "
        "N* over the true one:",
        "",
        "| corpus | at the budgets run | by the line, at 3.8e25 FLOP |",
        "|---|---|---|",
        *bias,
    ]
    write("approaches", lines)


def rolling() -> None:
    """Per group fit the k >= 3 smallest budgets, predict the next one's N*; truth: that budget's own parabola."""
    runs = bl.load(DATA / "isoflops" / "runs.csv")
    lines = [
        "| corpus | budgets fitted | next budget | its parabola (90 % bootstrap) | chinchilla, median (90 %) | ratio "
        "| with interaction | ratio | approach 2's line | ratio |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    cells: list[tuple[str, bool, float]] = []
    for group in sorted(runs.frame["group"].unique()):
        parts = profiles(runs, group)
        for k in range(3, len(parts)):
            upto = parts[k - 1].flops * 1.05
            mine = runs.where(((runs.frame["group"] == group) & (runs.frame["flops"] <= upto)).to_numpy())
            star, boot = parabola_bottoms(parts[k])
            b_lo, b_hi = np.nanquantile(boot, [0.05, 0.95])
            row = [group.split("__")[0], str(k), f"{parts[k].flops:.2g}", _span(star, b_lo, b_hi)]
            for card in (PLAIN, INTERACTION):
                surface = Surface(quick_fit(load_card(card), mine, proposals=3000))
                draws = optimum(surface, cost_of(surface), parts[k].flops).n_params
                row += _cell(cells, str(card["law"]), draws, float(np.median(draws)), star, b_lo, b_hi)
            mid, draws = frontier(parts[:k], times=500).at(parts[k].flops)
            row += _cell(cells, "approach 2", draws, mid, star, b_lo, b_hi)
            lines.append("| " + " | ".join(row) + " |")
            print(lines[-1], flush=True)
    head = [
        "Rolling hold-out: each corpus's k smallest budgets are fitted, the next one's N* is predicted. Cards without "
        "the shift that runs of one size share, importance sampling around the mode. Star: the 90 % intervals overlap.",
        "",
    ]
    for name in dict.fromkeys(c[0] for c in cells):
        found = [(o, r) for n, o, r in cells if n == name]
        head.append(
            f"- {name}: overlap in {sum(o for o, _ in found)} of {len(found)} cells, median ratio of the two optima "
            f"{np.median([r for _, r in found]):.2f}"
        )
    write("rolling", [*head, "", *lines])


def _cell(cells: list, name: str, draws: np.ndarray, mid: float, star: float, low: float, high: float) -> list[str]:
    lo, hi = np.nanquantile(draws, [0.05, 0.95])
    overlap = bool(lo <= high and low <= hi)
    cells.append((name, overlap, mid / star))
    return [_span(mid, lo, hi) + (" *" if overlap else ""), f"{mid / star:.2f}"]


def _span(mid: float, low: float, high: float) -> str:
    return f"{mid / 1e9:.3g}B ({low / 1e9:.3g}-{high / 1e9:.3g})"


if __name__ == "__main__":
    for name in sys.argv[1:] or ("plans", "approaches", "rolling"):
        {"plans": plans, "approaches": approaches, "rolling": rolling}[name]()
