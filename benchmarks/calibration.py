"""Simulation-based calibration of the engine: are truths drawn from the prior ranked uniformly among posterior draws?

    python benchmarks/calibration.py [STUDY ...] [--sets 200] [--jobs 2]
    python benchmarks/calibration.py --check

Each data set is drawn from the prior of a shipped card by ``simulate.py`` and fitted by NUTS, with the engine's own
program and shapes. Results go to ``calibration/STUDY.csv``, one row per data set, a function of study and seed alone:
an interrupted study goes on where it stopped. ``--check`` recomputes tests, tables and pictures from those files and
ends with 1 if a test fails. The tests are those of ``ranks.py``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import zlib
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

# one thread a process: the kernels are too small to share. Before JAX is imported, in every process.
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from ranks import LEVEL, coverage, rank_tests

HERE = Path(__file__).resolve().parent / "calibration"
#: draws that a truth is ranked among, evenly thinned from at least 600, so that they are close to independent
KEPT = 99
CHECK = {"rhat": 1.03, "ess": 100.0}


@dataclass(frozen=True)
class Study:
    """A shipped card, and the runs whose losses are simulated."""

    card: str
    says: str
    draws: int = 300

    @property
    def settings(self) -> dict[str, int]:
        """What each fit is sampled with."""
        return {"chains": 2, "warmup": 400, "draws": self.draws}

    def runs(self) -> pd.DataFrame:
        """Covariates and made-up losses, which only set the bins and their measured spread."""
        rng = np.random.default_rng(7)
        if self is STUDIES["points"]:
            n = np.repeat(np.geomspace(1e8, 1e10, 8), 6)
            tokens = np.tile(np.geomspace(2e9, 2e11, 6), 8)
            group = np.tile(["a", "b", "b", "a", "a", "b", "b", "a"], 6)
            names = [f"run{i:02d}" for i in range(len(n))]
            return pd.DataFrame({"run": names, "group": group, "n_params": n, "tokens": tokens, "loss": 2.0 + 1e8 / n})
        parts = []
        for i, each in enumerate(self._curves()):
            tokens = np.geomspace(2e9, (2e10, 1.2e10, 1.6e10)[i % 3], 320)
            noise = np.exp(0.01 * rng.standard_normal(len(tokens)))
            parts.append(pd.DataFrame(each | {"tokens": tokens, "loss": (1.8 + 2100 / tokens**0.37) * noise}))
        return pd.concat(parts, ignore_index=True)

    def _curves(self) -> list[dict]:
        sizes = (1e8, 4e8, 1.6e9)
        if self is STUDIES["looped"]:
            grid = [(n, t) for n in sizes for t in (1, 2, 4)]
            orders = {1e8: "x", 4e8: "x", 1.6e9: "y"}
            return [
                {"run": f"{n:.0e}x{t}", "n_params": n, "recurrence": float(t), "data_order": orders[n]} for n, t in grid
            ]
        return [{"run": f"{g}{n:.0e}", "group": g, "n_params": n} for g in ("a", "b") for n in sizes]

    def held(self) -> pd.DataFrame:
        """Rows to forecast: ten times beyond the last token of a fitted run, and a larger run never seen."""
        if self is STUDIES["points"]:
            rows = [{"run": "new", "group": "b", "n_params": 7e10, "tokens": 1.4e12}]
        elif self is STUDIES["looped"]:
            rows = [
                {"run": "1e+08x1", "n_params": 1e8, "recurrence": 1.0, "tokens": 2e11},
                {"run": "new", "n_params": 6.4e9, "recurrence": 8.0, "tokens": 1e10, "data_order": "x"},
            ]
        else:
            rows = [
                {"run": "a1e+08", "group": "a", "n_params": 1e8, "tokens": 2e11},
                {"run": "new", "group": "b", "n_params": 6.4e9, "tokens": 1e11},
            ]
        return pd.DataFrame(rows)


STUDIES = {
    "curves": Study("chinchilla", "six curves: two groups, three sizes"),
    "points": Study("chinchilla", "48 single points with Student-t noise: two groups, eight sizes", draws=900),
    "looped": Study("looped-total", "nine curves: three sizes, three recurrences, two data orders", draws=600),
}


@lru_cache(maxsize=8)
def prepared(name: str):
    """Card, problem and held-out rows of a study."""
    import bayeslaw as bl
    from bayeslaw.cards import load_card
    from bayeslaw.engine.assemble import assemble

    study = STUDIES[name]
    card = load_card(study.card)
    return card, assemble(card, bl.Runs.from_frame(study.runs()), max_bins=16), study.held()


def one(name: str, seed: int, settings: dict | None = None) -> dict:
    """Simulate and fit data set ``seed``: the rank of every true quantity among ``KEPT`` draws, and diagnostics."""
    import dataclasses

    import jax
    from simulate import simulate, with_losses

    import bayeslaw as bl
    from bayeslaw.engine.posterior import parameter_draws
    from bayeslaw.engine.sampler import sample

    card, problem, held = prepared(name)
    true = simulate(card, problem, held, np.random.default_rng([zlib.crc32(name.encode()), seed]))
    problem = with_losses(problem, true.log_y)
    with jax.enable_x64(True):
        found = sample(problem.layout, problem.data, seed=seed, **(settings or STUDIES[name].settings))
    fit = bl.Fit(card, problem, found.z, found.stats, {"seed": seed})
    thin = dataclasses.replace(fit, z=fit.draws(KEPT)[None], stats={})
    with jax.enable_x64(True):
        posterior = parameter_draws(problem, thin.z[0], seed)
    out: dict[str, float] = {"seed": seed, **diagnostics(fit)}
    for key, truth in true.values.items():
        draws = posterior[key][1].reshape(KEPT, -1)
        below = np.sum(draws < np.atleast_1d(truth), axis=0)
        out |= {key if len(below) == 1 else f"{key}[{i}]": int(b) for i, b in enumerate(below)}
    band = bl.forecast(thin, at=held, seed=seed)
    for i, run in enumerate(held["run"]):
        what = "new" if run == "new" else "far"
        out[f"curve_{what}"] = int(np.sum(np.log(band.curve[:, i]) < true.curve[i]))
        out[f"loss_{what}"] = int(np.sum(np.log(band.observed[:, i]) < true.observed[i]))
    return out


#: columns of the results that are no ranks
DIAGNOSTICS = ("seed", "rhat", "ess", "divergences", "steps", "ok")


def diagnostics(fit) -> dict[str, float]:
    """Largest R-hat and smallest effective sample size over all coordinates, divergences, mean leapfrog steps."""
    frame = fit.check(**CHECK).frame.set_index("test")
    needed = ["R-hat", "ESS bulk", "divergences"]
    return {
        "rhat": float(frame.loc["R-hat", "value"]),
        "ess": float(frame.loc["ESS bulk", "value"]),
        "divergences": int(frame.loc["divergences", "value"]),
        "steps": round(float(np.mean(fit.stats["steps"])), 1),
        "ok": int(frame.loc[needed, "ok"].all()),
    }


def stamp(name: str) -> str:
    """What a file of results must agree with to be continued: settings, card and design."""
    card, problem, held = prepared(name)
    design = zlib.crc32(json.dumps(problem.bins.round(9).to_dict("list"), default=str).encode())
    held_out = zlib.crc32(held.to_json().encode())
    parts = [card.parameters, card.offset, card.run, card.noise, card.discrepancy]
    said = zlib.crc32(repr([*parts, card.exits, card.shared] if card.shared else parts).encode())
    return json.dumps(STUDIES[name].settings | {"kept": KEPT, "card": said, "bins": design, "held": held_out})


def load(name: str, check: bool = False) -> pd.DataFrame:
    """Results so far. Ends the program if they were made with other settings."""
    path = HERE / f"{name}.csv"
    if not path.exists():
        return pd.DataFrame()
    with path.open(encoding="utf-8") as file:
        first = file.readline().removeprefix("# ").strip()
        if not check and first != stamp(name):
            sys.exit(f"{path.name} was made with another card, design or setting. Delete it to start the study anew.")
        return pd.read_csv(file)


def save(name: str, results: pd.DataFrame) -> None:
    """Whole or not at all."""
    HERE.mkdir(exist_ok=True)
    part = HERE / f".{name}.part"
    part.write_text(f"# {stamp(name)}\n{results.to_csv(index=False, lineterminator=chr(10))}", encoding="utf-8")
    part.replace(HERE / f"{name}.csv")


def run(name: str, sets: int, jobs: int) -> None:
    """Fit the data sets that are not there yet."""
    results = load(name)
    todo = sorted(set(range(sets)) - set(results["seed"] if len(results) else []))
    if not todo:
        return
    start, rows = time.monotonic(), []
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        try:
            for future in as_completed([pool.submit(one, name, seed) for seed in todo]):
                rows.append(future.result())
                results = pd.concat([results, pd.DataFrame(rows[-1:])], ignore_index=True).sort_values("seed")
                save(name, results)
                left = (time.monotonic() - start) / len(rows) * (len(todo) - len(rows))
                if sys.stderr.isatty() or len(rows) % 10 == 0 or len(rows) == len(todo):
                    end = "\r" if sys.stderr.isatty() and len(rows) < len(todo) else "\n"
                    done = f"{name}: {len(results)} of {max(sets, len(results))} data sets"
                    print(f"{done}, about {left / 60:.0f} min left ", end=end, file=sys.stderr, flush=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def report(name: str) -> bool:
    """Print a study's tables, draw its picture; True if its tests pass."""
    results = load(name, check=True)
    ranks = results.drop(columns=list(DIAGNOSTICS))
    table = rank_tests(ranks, KEPT)
    bad = table[table["p"] < LEVEL]
    verdict = "all uniform" if bad.empty else f"NOT uniform: {', '.join(bad.index)}"
    fine, draws = 100 * results["ok"].mean(), 2 * STUDIES[name].draws
    print(
        f"\n### {name}: card {STUDIES[name].card}, {STUDIES[name].says}\n\n"
        f"{len(results)} data sets, {len(table)} quantities: {verdict}; smallest p after Holm {table['p'].min():.3g}.\n"
        f"{fine:.1f} % of the fits have R-hat <= {CHECK['rhat']}, ESS >= {CHECK['ess']:.0f} and no divergence; "
        f"{(results['divergences'] > 0).sum()} have a divergence; largest R-hat {results['rhat'].max():.2f}; median of "
        f"the smallest ESS {results['ess'].median():.0f} of {draws} draws.\n"
    )
    print("| held-out | 50 % band holds | 90 % band holds |\n|---|---|---|")
    for key in [k for k in table.index if k.startswith(("curve_", "loss_"))]:
        rank = ranks[key].to_numpy()
        print(f"| {key} | {coverage(rank, KEPT, 0.5):.3f} | {coverage(rank, KEPT, 0.9):.3f} |")
    print("\nThe six quantities furthest from uniform:\n")
    print("| quantity | mean rank share | width | p chi2 | p ECDF | p Holm |\n|---|---|---|---|---|---|")
    least = table[["chi2_p", "ecdf_p"]].min(axis=1).nsmallest(6)
    for key, r in table.loc[least.index].iterrows():
        print(f"| {key} | {r['mean']:.3f} | {r['width']:.2f} | {r.chi2_p:.3g} | {r.ecdf_p:.3g} | {r.p:.3g} |")
    from pictures import picture

    picture(ranks, KEPT, f"{name}: {STUDIES[name].says}", HERE / f"{name}.png")
    return bad.empty


def main() -> int:
    """Exit code: 0 if every test passes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", nargs="*", help=f"of {', '.join(STUDIES)}; all by default (--check: all with results)")
    parser.add_argument("--sets", type=int, default=200, help="data sets per study (200)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (one per core)")
    parser.add_argument("--check", action="store_true", help="only recompute tests, tables and pictures")
    asked = parser.parse_args()
    there = [name for name in STUDIES if (HERE / f"{name}.csv").exists()]
    names = asked.study or (there if asked.check else list(STUDIES))
    if unknown := [n for n in names if n not in STUDIES]:
        parser.error(f"no study is called {unknown[0]!r}: there are {', '.join(STUDIES)}")
    try:
        for name in names if not asked.check else []:
            run(name, asked.sets, asked.jobs)
    except KeyboardInterrupt:
        print("\nInterrupted; what is done is kept, and the same command goes on from there.", file=sys.stderr)
        return 130
    if asked.check and (missing := [n for n in names if n not in there] or ([] if names else list(STUDIES))):
        print(f"No results of {', '.join(missing)}: run without --check first.", file=sys.stderr)
        return 1
    passed = [report(name) for name in names]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
