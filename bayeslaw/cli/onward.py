"""``bayeslaw forecast LOG --to 2T``: choose a card, fit it, continue the runs, and say each of these aloud."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bayeslaw.cli.common import headline, talk
from bayeslaw.cli.guard import say
from bayeslaw.cli.progress import sampling_progress
from bayeslaw.errors import FitError
from bayeslaw.files import HDF5

if TYPE_CHECKING:
    from bayeslaw.data.runs import Runs
    from bayeslaw.fit import Fit
    from bayeslaw.forecast import Band
    from bayeslaw.onward import Choice

#: runs that are fitted one by one without being asked for by name
MOST_ALONE = 12


def is_fit(path: str) -> bool:
    """Whether a path is a saved fit, by its first bytes; a file that is not there is one if it is named so."""
    file = Path(path)
    if not file.is_file():
        return file.suffix == ".nc" and not file.exists()
    with file.open("rb") as content:
        return content.read(len(HDF5)) == HDF5


def chosen(runs: Runs, model: str | None, *, schedule: bool) -> Choice:
    """The user's card, or the one that suits the log; said aloud."""
    import bayeslaw
    from bayeslaw.onward import Choice

    if model is not None:
        card = bayeslaw.load_card(model)
        if schedule and "schedule" not in bayeslaw.LAWS[card.law].covariates:
            raise FitError(
                f"The law of {card.name} reads no learning rates, so every schedule would end alike. Take a card whose "
                f"law does, as --model multi-power or --model annealed, or leave --model out."
            )
        return Choice(model, f"{card.name}, as asked.", True)
    choice = bayeslaw.suggest(runs, schedule=schedule)
    talk(f"model {choice.model}: {choice.why} Another is --model NAME.")
    for note in choice.notes:
        say(note)
    return choice


def of_fit(fit: Fit, path: str) -> Choice:
    """The card of a saved fit, which was chosen when it was fitted."""
    from bayeslaw.onward import Choice

    return Choice(str(fit.card.name), f"{path} is a fit of it.", True)


def basis(fits: Sequence[Fit], choice: Choice) -> dict[str, Any]:
    """What an answer rests on, for JSON: the model and why it, whether its sampling can be trusted, and warnings."""
    verdicts = [fit.check() for fit in fits]
    # of runs that were fitted apart, the ones that failed decide
    told = [str(v) for v in verdicts if not v.ok] or [str(v) for v in verdicts[:1]]
    notes = [*choice.notes, *dict.fromkeys(headline(v) for v in verdicts if not v.ok)]
    return {
        "model": choice.model,
        "why": choice.why,
        "ok": all(bool(v.ok) for v in verdicts),
        "verdict": "\n".join(told),
        "notes": notes,
    }


def check_lines(runs: Runs, run: str | None, lines: Sequence[str]) -> None:
    """Fail now, and not after the fit, if a schedule's line cannot be read, or ends before the run has come so far."""
    from bayeslaw.laws import Schedule
    from bayeslaw.laws.schedule_ahead import still_ahead

    there = list(runs.names)
    if run is None and len(there) > 1:
        some = ", ".join(there[:5]) + (" ..." if len(there) > 5 else "")
        raise click.UsageError(f"--schedule is for one run: choose it with --run NAME, of {some}.")
    name = run or there[0]
    curve: Any = runs.curve(name)
    if not {"step", "lr"} <= set(curve.columns):
        return  # the fit says so before it samples
    known = curve.dropna(subset=["step", "lr"]).drop_duplicates("step", keep="last").sort_values("step")
    if not len(known):
        return
    past, now = Schedule.from_rows(known["step"], known["lr"]), int(curve["step"].max())
    for line in lines:
        still_ahead(line, line, past, now, name)


def fits(runs: Runs, choice: Choice, only: str | None, seed: int) -> Iterator[Fit]:
    """One fit of all runs, or one of each (of ``only``), as the choice has it."""
    import bayeslaw

    names = [only] if only is not None else list(runs.names)
    if not choice.together and len(names) > MOST_ALONE:
        raise click.UsageError(
            f"nothing ties the {len(names)} runs of this log, so each would be fitted by itself; choose one with "
            f"--run NAME, or give their sizes (a column n_params, or --n-params) to fit them together."
        )
    for part in [runs] if choice.together else [runs.select(name) for name in names]:
        with sampling_progress() as progress:
            yield bayeslaw.fit(part, model=choice.model, seed=seed, progress=progress)


def joined(bands: Sequence[Band]) -> Band:
    """The bands of runs fitted apart, as one."""
    import numpy as np
    import pandas as pd

    from bayeslaw.forecast import Band

    if len(bands) == 1:
        return bands[0]
    draws = min(len(b.curve) for b in bands)
    shares = [b.row_share for b in bands if b.row_share is not None]
    return Band(
        pd.concat([b.frame for b in bands], ignore_index=True),
        np.hstack([b.curve[:draws] for b in bands]),
        np.hstack([b.observed[:draws] for b in bands]),
        bands[0].levels,
        tuple(dict.fromkeys(note for b in bands for note in b.notes)),
        np.concatenate(shares) if len(shares) == len(bands) else None,
    )


def milestones(frame: Any) -> Any:
    """The rows that a person reads: of one run about eight, of several the last of each."""
    if frame["run"].nunique() > 1:
        return frame[~frame["run"].duplicated(keep="last")]
    stride = max(-(-len(frame) // 8), 1)
    return frame[(len(frame) - 1 - frame.reset_index().index) % stride == 0]


def sentences(frame: Any, level: float) -> list[str]:
    """Where each run ends, in words."""
    from bayeslaw.data.units import human

    name, out = f"{100 * level:g}", []
    for row in frame[~frame["run"].duplicated(keep="last")].to_dict(orient="records"):
        far = f"{human(row['tokens'], 4)} tokens" if row["tokens"] == row["tokens"] else f"step {row['step']:,.0f}"
        out.append(
            f"{row['run']} at {far}: {row['median']:.4f} nats, {name} % between {row['lo' + name]:.4f} and "
            f"{row['hi' + name]:.4f}; the curve beneath the noise between {row['curve_lo' + name]:.4f} and "
            f"{row['curve_hi' + name]:.4f}."
        )
    return out
