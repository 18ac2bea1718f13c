"""The isoflop card on budgets held back: its best size, and its bands on the runs of the budget that it has not seen.

    python benchmarks/planning_rolling.py [STORE [CORPUS | tell]]

Per corpus the k >= 3 smallest budgets are fitted and the next one is predicted: 17 cells of Chinchilla, Llama 3 and
Marin, NUTS in each (2 chains of 300 draws after 300). Rows that are not seen yet are laid out and masked, so that a
corpus's cells share one compiled program: their losses have no part in the fit; their sizes and tokens move the
reference row, the point at which priors of amplitudes are stated.

Finished cells are kept in the folder STORE, and not fitted again; with CORPUS (the beginning of its name) only that
one's are; with ``tell`` none is, and the page gets those that there are.

That budgets need deviations of their own was seen on these corpora: point fits of the law without them miss the
parabolas as chinchilla does. The priors were set before any cell was run, after published exponents and optima,
and this is the only version that was run.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from planning import _span
from report import DATA, write

import bayeslaw as bl
from bayeslaw.cards import load_card
from bayeslaw.engine.assemble import assemble
from bayeslaw.engine.sampler import sample
from bayeslaw.plan.costs import cost_of
from bayeslaw.plan.isoflop import parabola_bottoms, profiles
from bayeslaw.plan.optimum import optimum
from bayeslaw.plan.surface import Surface

CARD, CHAINS, WARMUP, DRAWS = "isoflop", 2, 300, 300


def cell(runs: bl.Runs, k: int) -> dict[str, Any]:
    """Fit one corpus's k smallest budgets, predict the next."""
    parts = profiles(runs)
    with jax.enable_x64(True):
        problem = assemble(load_card(CARD), runs)
        flops = dict(zip(runs.frame["run"].astype(str), runs.frame["flops"], strict=True))
        seen = np.array([flops[str(run)] <= parts[k - 1].flops * 1.05 for run in problem.series["run"]])
        rows = problem.data["rows"]
        mask = rows["mask"].copy()
        mask[: len(seen)] &= seen[:, None]
        problem = replace(problem, data={**problem.data, "rows": {**rows, "mask": mask}})
        found = sample(problem.layout, problem.data, seed=0, chains=CHAINS, warmup=WARMUP, draws=DRAWS)
    fit = bl.Fit(load_card(CARD), problem, found.z, found.stats, {"seed": 0})
    surface = Surface(fit)
    lo, mid, hi = np.quantile(optimum(surface, cost_of(surface), parts[k].flops).n_params, [0.05, 0.5, 0.95])
    star, boot = parabola_bottoms(parts[k])
    boot_lo, boot_hi = np.nanquantile(boot, [0.05, 0.95])
    held = runs.frame[np.abs(np.log(runs.frame["flops"] / parts[k].flops)) < 0.05]
    # under other names: the fit knows rows of theirs, if masked
    band = bl.forecast(fit, bl.Runs.from_frame(held.assign(run="new " + held["run"].astype(str)))).frame
    loss = held["loss"].to_numpy(float)
    inside = (band["lo90"].to_numpy() <= loss) & (loss <= band["hi90"].to_numpy())
    return {
        "group": str(runs.frame["group"].iloc[0]), "k": k, "flops": parts[k].flops, "lo": lo, "mid": mid, "hi": hi,
        "star": star, "blo": float(boot_lo), "bhi": float(boot_hi), "cov": float(inside.mean()), "n": len(loss),
        "width": float(100 * ((band["hi90"] - band["lo90"]) / band["mean"]).mean()),
        "div": int(found.stats["diverging"].sum()),
    }  # fmt: skip


def main(store: Path, corpus: str) -> None:
    runs = bl.load(DATA / "isoflops" / "runs.csv")
    store.mkdir(parents=True, exist_ok=True)
    cells, wanted = [], 0
    for group in sorted(runs.frame["group"].unique()):
        mine = runs.where((runs.frame["group"] == group).to_numpy())
        wanted += len(profiles(mine)) - 3
        for k in range(3, len(profiles(mine))) if group.startswith(corpus) or corpus == "tell" else ():
            path = store / f"{group.split('__')[0]}-{k}.json"
            if not path.exists() and corpus == "tell":
                continue
            if not path.exists():
                path.write_text(json.dumps(cell(mine, k), default=float), encoding="utf-8")
            cells.append(json.loads(path.read_text(encoding="utf-8")))
            print(cells[-1], flush=True)
    if corpus in ("", "tell"):
        tell(cells, wanted)


def tell(cells: list[dict[str, Any]], wanted: int) -> None:
    """The section of the page: both bars, and a line per cell."""
    overlap = [c["lo"] <= c["bhi"] and c["blo"] <= c["hi"] for c in cells]
    ratio = [c["mid"] / c["star"] for c in cells]
    lines = [] if len(cells) == wanted else [f"{len(cells)} of {wanted} cells have been run.", ""]
    lines += [
        f"- best size: its 90 % interval overlaps that of the next budget's parabola in {sum(overlap)} of {len(cells)} "
        f"cells; median ratio of the two {np.median(ratio):.2f}",
        f"- losses of the next budget: {_pooled(cells)}",
        *(
            f"- of these {name.split('_')[0]}: {_pooled([c for c in cells if c['group'] == name])}"
            for name in dict.fromkeys(c["group"] for c in cells)
        ),
        "",
        "| corpus | budgets fitted | next budget | its parabola (90 % bootstrap) | isoflop, median (90 %) | ratio "
        "| runs in the 90 % band | its width | divergences |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for c, o, r in zip(cells, overlap, ratio, strict=True):
        lines.append(
            f"| {c['group'].split('__')[0]} | {c['k']} | {c['flops']:.2g} | {_span(c['star'], c['blo'], c['bhi'])} | "
            f"{_span(c['mid'], c['lo'], c['hi'])}{' *' if o else ''} | {r:.2f} | "
            f"{round(c['cov'] * c['n'])} of {c['n']} | {c['width']:.2f} % | {c['div']} |"
        )
    write("isoflop", lines)


def _pooled(cells: list[dict[str, Any]], times: int = 4000) -> str:
    """Coverage over all points, with the interval of a bootstrap over cells: a cell's points err together."""
    inside, count = np.array([c["cov"] * c["n"] for c in cells]), np.array([c["n"] for c in cells])
    pick = np.random.default_rng(0).integers(0, len(cells), (times, len(cells)))
    lo, hi = np.quantile(inside[pick].sum(axis=1) / count[pick].sum(axis=1), [0.025, 0.975])
    return (
        f"90 % bands hold {inside.sum() / count.sum():.3f} of {count.sum()} runs (95 % by cells {lo:.2f}-{hi:.2f}), "
        f"mean width {np.average([c['width'] for c in cells], weights=count):.2f} %"
    )


if __name__ == "__main__":
    given = sys.argv[1:]
    main(Path(given[0]) if given else Path(tempfile.mkdtemp()), given[1] if len(given) > 1 else "")
