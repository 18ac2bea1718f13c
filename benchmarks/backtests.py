"""Backtests on public losses: our posterior bands beside every baseline, written to ``benchmarks/backtests.md``.

    python benchmarks/backtests.py [schedules] [prefixes] [overtraining] [runs-out] [tails] [budgets] [OPTION ...]

Data are read from the folder that BAYESLAW_DATA names (default ../shared/data). Finished units are kept in ``--folder``
(default ``.backtests`` here), so that a run that was stopped goes on. ``--approx`` replaces NUTS by a normal posterior
at its mode, for exploring; such tables are printed and never written to the page.
"""

from __future__ import annotations

import argparse
import inspect
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from clock import WARMUP, schedule
from least_error import least_error
from report import DATA, write

import bayeslaw as bl
from bayeslaw.backtest import Backtest, backtest
from bayeslaw.laws import Schedule
from bayeslaw.splits import Split, by_largest, by_run, share_of_run

HERE = Path(__file__).resolve().parent
PAGE = HERE / "backtests.md"
ANNEALING = ("last value", "power law", "power law in lr", "Tissue", "multi-power point")
POINTS = ("Chinchilla approach 3", "over-training law")
#: Luo et al. 2025, the coefficients in the repository's table: L0, A, alpha, B, C, beta, gamma; the warm-up's
#: increments are in their sum
PUBLISHED = {
    "25M": (3.040, 0.525, 0.508, 363.788, 2.066, 0.583, 0.641),
    "100M": (2.651, 0.601, 0.453, 437.946, 2.132, 0.598, 0.655),
    "400M": (2.375, 0.654, 0.429, 523.425, 2.025, 0.594, 0.635),
}
PUBLISHED_RMSE = {"25M": 0.00465, "100M": 0.00592, "400M": 0.00730}
PUBLISHED_P4 = {"c4_original": (1.223, 4.295), "rpj": (0.802, 0.732), "rw_original": (1.030, 1.619)}


def schedules(options: argparse.Namespace) -> str:
    """Unseen schedules: one fit of three sizes on ``split == 'fit'``, scored on ``split == 'test'``.

    MultiPowerLaw's curves; the rate before the first row is a linear warm-up. Baselines are fitted one size at a time.
    "Published coefficients" are those of Luo et al.'s repository, to three decimals, put through this scorer: that
    their RMSE comes out near the published one validates it. Least Huber error finds other coefficients than theirs.
    """
    runs = bl.load(DATA / "multipowerlaw" / "runs.csv")
    result = _run(options, runs, "multi-power", ANNEALING, by="split", most_rows=1000)
    frame = result.frame[result.frame["level"] == "raw"].assign(size=lambda f: f["run"].str.split("/").str[0])
    rmse = frame.pivot_table(index="model", columns="size", values="rmse", sort=False)[list(PUBLISHED)]
    rmse.loc["published coefficients, scored here"] = _published(runs)
    rmse.loc["published RMSE"] = PUBLISHED_RMSE
    text = "RMSE of the point forecast, nats, mean over the six test curves of a size:\n\n"
    text += _markdown(rmse.reset_index(), dict.fromkeys(PUBLISHED, "{:.5f}".format))
    ours = frame[frame["model"] == result.models[0]].set_index("run")
    cells = ours[["cover90", "relative_width", "rmse", "bias", "curve_error"]].reset_index()
    cells["relative_width"] *= 100
    text += "\nOurs, curve by curve (width in % of the loss; the mean error in predictive sd of it):\n\n"
    return text + _markdown(cells, {"cover90": "{:.2f}".format, "relative_width": "{:.2f}".format,
                                    "rmse": "{:.4f}".format, "bias": "{:+.4f}".format,
                                    "curve_error": "{:+.1f}".format}) + "\n" + _pooled(result)  # fmt: skip


def prefixes(options: argparse.Namespace) -> str:
    """The rest of a run from its first part, with the families ``split == 'fit'`` of three sizes.

    Seen are a run's rows with step up to the share of its last step; the future rate is known. Tissue and multi-power
    take the gain of annealing from the family and the rest from the prefix; power laws see the prefix alone.
    """
    runs = bl.load(DATA / "multipowerlaw" / "runs.csv")
    frame, share = runs.frame, share_of_run(runs)
    family = (frame["split"] == "fit").to_numpy()
    splits = []
    for kind in ("constant_72000", "cosine_72000", "wsd_20000_24000"):
        for origin in (0.2, 0.5, 0.7):
            for size in PUBLISHED:
                mine = (frame["run"] == f"{size}/{kind}").to_numpy()
                seen, name = mine & (share <= origin), f"{size}/{kind} from {origin:.0%}"
                learn, given = (family | seen, None) if options.refit else (family, seen)
                splits.append(Split(name, kind, origin, learn, mine & ~seen, given))
    result = _run(options, runs, "multi-power", ANNEALING, splits=splits)
    how = (
        "fitted together with the family" if options.refit else "given to the fit of the family, without fitting again"
    )
    ends = result.frame[result.frame["level"] == "raw"].assign(error=lambda f: 100 * f["final_error"].abs())
    table = ends.pivot_table(index="model", columns=["fold", "origin"], values="error", sort=False)
    table.columns = [f"{fold}, {origin:.0%}" for fold, origin in table.columns]
    text = f"The prefix is {how}. Mean |error| of the final loss over three sizes, %:\n\n"
    text += _markdown(table.reset_index(), dict.fromkeys(table.columns, "{:.2f}".format))
    return (
        text
        + "\nFinal losses, all origins:\n\n"
        + _pooled(result, final=True)
        + "\nAll held-out rows:\n\n"
        + _pooled(result)
    )


def overtraining(options: argparse.Namespace) -> str:
    """Over-training, three corpora in one fit: five cheap runs of each, scored on the rest (Gadre et al.).

    The published law is fitted here as its authors do, one corpus at a time, and gives the published errors.
    chinchilla-balanced was made before it was scored here, though the scores of the other two cards were known: five
    runs of a corpus do not tell two exponents apart, and published ratios of the two lie near one. A second form of it,
    with the interaction on top, was scored too and dropped: its sampling fails, and it errs more. The prior of
    chinchilla-interaction's kappa was once centred on 0 (mean error 1.009 %, coverage 0.86); now it rests on three
    other studies (``interaction.py``). That kappa is larger in these corpora than in those was known when it was moved.
    """
    runs = bl.load(DATA / "gadre-overtraining" / "runs.csv")
    frame = runs.frame
    cheap = (frame["chinchilla_mult"] == 1) & (frame["n_params"] < 5e8)
    cheap |= (frame["chinchilla_mult"] == 16) & (frame["n_params"] == 10569312)
    score = (~cheap & (frame["chinchilla_mult"] >= 0.5)).to_numpy()
    splits = [Split("three corpora", "corpora", 0.0, cheap.to_numpy(), score)]
    cards = ("chinchilla", "chinchilla-balanced", "chinchilla-interaction") if options.model is None else options.model
    result = _run(options, runs, cards, POINTS, splits=splits)
    points = result.points.assign(error=lambda p: 100 * ((p["mean"] - p["loss"]) / p["loss"]).abs())
    table = points.pivot_table(index="model", columns="group", values="error", sort=False)
    table.loc["published law, published"] = {g: v[0] for g, v in PUBLISHED_P4.items()}
    largest = points[points["n_params"] > 6e9].pivot_table(index="model", columns="group", values="error", sort=False)
    largest.loc["published law, published"] = {g: v[1] for g, v in PUBLISHED_P4.items()}
    both = table.join(largest.add_suffix(", 6.9B")).assign(mean=table.mean(axis=1))
    text = "Mean |error| / loss of held-out runs, %, and of the 6.9B run:\n\n"
    text += _markdown(both.reset_index(), dict.fromkeys(both.columns, "{:.3f}".format))
    return text + "\n" + _floor(frame[score]) + "\n" + _pooled(result)


def _floor(held: pd.DataFrame) -> str:
    """What no forecast with these laws can beat."""
    floors = pd.DataFrame(
        {
            g: least_error(*(d[c].to_numpy(float) for c in ("n_params", "tokens", "loss")))
            for g, d in held.groupby("group")
        }
    )
    floors["mean"] = floors.mean(axis=1)
    text = "The least mean error that any coefficients have, found on the held-out runs themselves, %:\n\n"
    table = (100 * floors).rename_axis("law").reset_index()
    return text + _markdown(table, dict.fromkeys(floors.columns, "{:.3f}".format))


def runs_out(options: argparse.Namespace) -> str:
    """Train curves of cosine and WSD schedules (``lr-schedules``): each run left out in turn.

    All runs share one data order, and so their noise; it is declared not available here, as no forecast uses it. The
    resumed decay tails' history is the one that the data's page states. No contestant sees the 300 steps of warm-up,
    nor is scored on them: no law here speaks of a warm-up. A first scoring did not leave them out, and its first bins
    (of steps up to 150, missed by 1.5 nats) outweighed all others.
    """
    runs, rates = _train_curves()
    splits = by_run(runs)[:: options.every]
    result = _run(options, runs, "multi-power", ANNEALING, splits=splits, schedules=rates, max_bins=24)
    return f"{len(splits)} of {len(runs.names)} runs.\n\n" + _pooled(result)


def tails(options: argparse.Namespace) -> str:
    """Decay tails of 166M from fits of 60M and 93M: given their first 20 %, and without.

    Histories and warm-up as above; siblings' shared noise is declared not available.
    """
    runs, rates = _train_curves()
    frame = runs.frame
    small = (frame["n_params"] < 1.2e8).to_numpy()
    kept = frame["kept"].to_numpy(bool)
    step = frame["step"].to_numpy(float)
    first, last = (frame.groupby("run")["step"].transform(which).to_numpy(float) for which in ("min", "max"))
    early = step <= first + 0.2 * (last - first)
    splits = [
        Split(f"{run}, first 20 % given", "given 20 %", 0.2, small & kept, mine & ~early, mine & early)
        for run in runs.names
        if (mine := (frame["run"] == run).to_numpy() & kept & ~small).any()
    ]
    splits += [Split(s.name, "no prefix", 0.0, s.learn, s.score) for s in by_largest(runs)]
    result = _run(options, runs, "multi-power", ANNEALING, splits=splits, schedules=rates, max_bins=24)
    return _pooled(result, by=("fold",))


def budgets(options: argparse.Namespace) -> str:
    """isoFLOP groups: the k smallest budgets fitted (k from 3), the next one scored, group by group."""
    runs = bl.load(DATA / "isoflops" / "runs.csv")
    frame, splits = runs.frame, []
    for group in frame["group"].unique():
        mine = (frame["group"] == group).to_numpy()
        sizes = np.sort(frame.loc[mine, "flops"].unique())
        for k in range(3, len(sizes)):
            learn, score = mine & (frame["flops"] < sizes[k]), mine & (frame["flops"] == sizes[k])
            name = f"{group.split('__')[0]}, {sizes[k]:.0e} FLOP"
            splits.append(Split(name, name, 0.0, np.asarray(learn), np.asarray(score)))
    cards = ("chinchilla", "chinchilla-interaction") if options.model is None else options.model
    result = _run(options, runs, cards, POINTS, splits=splits[:: options.every])
    text = f"{len(splits[:: options.every])} cells; intervals draw whole cells again.\n\n" + _pooled(
        result, cluster="fold"
    )
    by_group = result.frame.assign(source=result.frame["fold"].str.split(",").str[0])
    cells = by_group.groupby(["source", "model"], sort=False)[
        ["cover90", "crps", "interval_score", "relative_error"]
    ].mean()
    cells["relative_error"] *= 100
    formats = dict.fromkeys(("crps", "interval_score"), "{:.4f}".format)
    formats |= dict.fromkeys(("cover90", "relative_error"), "{:.2f}".format)
    return text + "\n" + _markdown(cells.reset_index(), formats)


STUDIES: dict[str, Callable[[argparse.Namespace], str]] = {
    "schedules": schedules,
    "prefixes": prefixes,
    "overtraining": overtraining,
    "runs-out": runs_out,
    "tails": tails,
    "budgets": budgets,
}


def _train_curves() -> tuple[bl.Runs, dict[str, Schedule]]:
    """``lr-schedules`` after its warm-up of 300 steps, and each run's whole rate.

    The decay tails were resumed from a run at the peak rate, as the data's own page states.
    """
    runs = bl.load(DATA / "lr-schedules" / "runs.csv").where(f"step > {WARMUP}")
    return runs, {str(run): schedule(rows) for run, rows in runs.frame.groupby("run")}


def _published(runs: bl.Runs) -> dict[str, float]:
    """RMSE per size of the published multi-power coefficients on the test curves: it holds this scorer to theirs."""
    from bayeslaw.baselines.annealing import rows_of

    test = runs.where("split == 'test'").frame
    out: dict[str, list[float]] = {size: [] for size in PUBLISHED}
    for run, rows in test.groupby("run"):
        size = str(run).split("/")[0]
        level, a, alpha, b, c, beta, gamma = PUBLISHED[size]
        whole = Schedule.from_rows(rows["step"].to_numpy(), rows["lr"].to_numpy())
        x = rows_of(rows, {str(run): Schedule(whole.steps, whole.rates, 0)}, None)
        arrived = -np.expm1(-beta * np.log1p(c * np.exp(-gamma * x["log_eta"]) * x["since"]))
        curve = level + a * x["S1"] ** -alpha - b * np.bincount(x["row"], x["drop"] * arrived, minlength=len(rows))
        out[size].append(float(np.sqrt(np.mean((curve - rows["loss"].to_numpy()) ** 2))))
    return {size: float(np.mean(v)) for size, v in out.items()}


def _run(options: argparse.Namespace, runs: bl.Runs, model: Any, baselines: Iterable[str], **more: Any) -> Backtest:
    start = time.perf_counter()
    model = options.model or model
    result = backtest(
        runs, list(model) if not isinstance(model, str) else model, baselines=list(baselines), seed=0,
        approx="laplace" if options.approx else None, jobs=options.jobs, folder=options.folder,
        progress=True, **more,
    )  # fmt: skip
    result.meta["wall"] = time.perf_counter() - start  # type: ignore[index]
    result.meta["seconds"] = sum(u.get("seconds", 0.0) for u in result.units)  # type: ignore[index]
    return result


def _pooled(result: Backtest, **how: Any) -> str:
    """The summary as a Markdown table, both levels one after the other, and what was wrong with fits."""
    table = result.summary(**how)
    by = list(how.get("by", ()))
    both = table["cover90_lo"].round(2).astype(str) + "-" + table["cover90_hi"].round(2).astype(str)
    show = pd.DataFrame({name: table[name] for name in ["level", *by, "model", "curves"]})
    show["90 % covers"], show["95 % interval"] = table["cover90"].map("{:.2f}".format), both
    show["50 / 80 / 95 %"] = [
        f"{a:.2f} / {b:.2f} / {c:.2f}" for a, b, c in table[["cover50", "cover80", "cover95"]].to_numpy()
    ]
    show["width, %"] = (100 * table["relative_width"]).map("{:.2f}".format)
    for name in ("interval_score", "crps", "rmse"):
        show[name.replace("_", " ")] = table[name].map("{:.5f}".format)
    show["log score"] = table["log_score"].map("{:.2f}".format)
    show["PIT p"] = table["pit_p"].map("{:.3f}".format)
    text = _markdown(show, {}) + "\n"
    for row in table.to_dict(orient="records"):
        if isinstance(row["best_crps"], str):
            where = ", ".join(str(row[name]) for name in ["level", *by])
            text += (
                f"{row['model']} ({where}): CRPS {row['crps_skill']:+.0%} against {row['best_crps']}, interval score "
                f"{row['interval_skill']:+.0%} against {row['best_interval']}; the farthest curve's mean error is "
                f"{row['worst_curve']:.1f} predictive sd.\n"
            )
    bad = [u for u in result.units if u.get("ok") is False]
    fits = [u for u in result.units if "ok" in u]
    if fits:
        worst = "; ".join(
            f"{u['splits'][0]}: " + ", ".join(f"{name} {value:.4g}" for name, value in u["check"].items())
            for u in bad[:3]
        )
        text += f"\n{len(fits) - len(bad)} of {len(fits)} fits passed all checks of their sampling. {worst}\n"
    return text + f"Work: {result.meta['seconds']:.0f} s in all units together.\n"


def _markdown(frame: pd.DataFrame, formats: dict[str, Any]) -> str:
    lines = ["| " + " | ".join(map(str, frame.columns)) + " |", "|" + "---|" * len(frame.columns)]
    for row in frame.to_dict(orient="records"):
        cells = [formats.get(str(k), str)(v) for k, v in row.items()]
        lines.append("| " + " | ".join("-" if c in ("nan", "nan-nan", "None") else c for c in cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", nargs="*", choices=[[], *STUDIES], default=[])
    parser.add_argument("--model", nargs="+", help="other cards than the study's own; the page stays as it is")
    parser.add_argument("--approx", action="store_true", help="a normal posterior at its mode, for exploring")
    parser.add_argument("--refit", action="store_true", help="prefixes: fit every prefix anew with its family")
    parser.add_argument("--every", type=int, default=1, help="take every k-th split only, for trying out")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--folder", default=str(HERE / ".backtests"))
    options = parser.parse_args()
    for name in options.study or list(STUDIES):
        start = time.perf_counter()
        extra = " --refit" if options.refit and name == "prefixes" else ""
        title = (STUDIES[name].__doc__ or name).splitlines()[0].rstrip(".").replace("``", "`")
        about = inspect.cleandoc(STUDIES[name].__doc__ or "").partition("\n\n")[2].replace("``", "`")
        command = f"    python benchmarks/backtests.py {name}{extra}\n\n"
        text = f"## {title}\n\n{command}{about}{chr(10) * 2 * bool(about)}{STUDIES[name](options)}"
        if options.approx or options.model or options.every > 1:
            print(text, flush=True)
        else:
            write(name + ("-refit" if extra else ""), [text.rstrip()], PAGE)
        print(f"\n({time.perf_counter() - start:.0f} s)\n", flush=True)


if __name__ == "__main__":
    main()
