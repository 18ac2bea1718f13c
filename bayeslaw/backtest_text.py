"""A backtest in print: coverage, width and scores of each contestant, and what its fits left to be desired."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bayeslaw.scores import FEW, FEWEST

if TYPE_CHECKING:
    from bayeslaw.backtest_result import Backtest


def describe(result: Backtest) -> str:
    """The summary as lines of about 100 characters: coverage, width, scores, skill."""
    lines, table = [], result.summary()
    for level, part in table.groupby("level", sort=False):
        runs, curves = int(part["runs"].max()), int(part["curves"].max())
        what = "observed losses" if level == "raw" else "smoothed curves"
        lines.append(f"{what}: {curves:,} curves of {runs:,} runs")
        lines.append(
            f"  {'':<26}{'90 % covers':>12}{'95 % interval':>15}{'width %':>9}{'int. score':>11}{'CRPS':>9}{'RMSE':>9}"
        )
        for row in part.to_dict(orient="records"):
            span = f"{row['cover90_lo']:.2f}-{row['cover90_hi']:.2f}" if row["cover90_lo"] == row["cover90_lo"] else "-"
            lines.append(
                f"  {row['model']:<26}{row['cover90']:>12.2f}{span:>15}{100 * row['relative_width']:>9.2f}"
                f"{row['interval_score']:>11.4f}{row['crps']:>9.4f}{row['rmse']:>9.4f}"
            )
            if isinstance(row["best_crps"], str):
                lines.append(
                    f"    CRPS {_than(row['crps_skill'], row['best_crps'])}, interval score "
                    f"{_than(row['interval_skill'], row['best_interval'])}"
                )
    few = table.loc[table["clusters"].between(FEWEST, FEW - 1), "clusters"]
    if len(few):
        lines.append(f"An interval over {int(few.min())} runs is too narrow: one of 95 % holds less often than that.")
    skipped = {u["model"]: u["skipped"] for u in result.units if "skipped" in u}
    lines += [f"left out: {model} ({why})" for model, why in skipped.items() if model not in result.models]
    bad = [u for u in result.units if u.get("ok") is False]
    if bad:
        total = sum("ok" in u for u in result.units)
        lines.append(f"{len(bad):,} of {total:,} fits did not pass all checks of their sampling; see .units.")
    return "\n".join(lines)


def _than(skill: float, other: str) -> str:
    return f"{abs(skill):.0%} {'better' if skill >= 0 else 'worse'} than {other}"
