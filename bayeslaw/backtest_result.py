"""The record of a backtest: its points, the table over runs, the summary against the baselines, JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayeslaw.backtest_parts import Frame
from bayeslaw.backtest_work import Scored
from bayeslaw.errors import FileError, FitError
from bayeslaw.files import written_whole
from bayeslaw.scores import LEVELS, interval_score, pit_test, pooled

SCHEMA = "bayeslaw.backtest/1"
CURVE = ["model", "split", "fold", "origin", "level", "run"]


@dataclass(frozen=True, eq=False, repr=False)
class Backtest:
    """What a backtest found.

    Attributes
    ----------
    points : one row per contestant, split, level and scored row: ``loss``, ``mean`` (the point forecast), ``sd``,
        ``lo50 ... hi95``, ``crps``, ``log_score``, ``pit``, ``reach`` (its x over the last known one), ``reach_n``,
        ``seen`` (something of its run was known), ``final`` (last row of its run). Nats per token.
    units : one entry per fit: model, splits, seconds, notes, checks; ``skipped`` says why a baseline had no answer.
    meta : models (their cards), by, settings, fingerprint and source of the data.
    """

    points: Frame
    units: tuple[Mapping[str, Any], ...]
    meta: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, scored: Sequence[Scored], meta: Mapping[str, Any]) -> Backtest:
        """Put finished units, ``scored``, together; ``meta`` is what was asked. FitError if none has an answer."""
        tables = [s.points for s in scored if len(s.points)]
        if not tables:
            why = next((str(s.info["skipped"]) for s in scored if "skipped" in s.info), "there was nothing to score")
            raise FitError(f"No contestant of the backtest had an answer: {why}")
        points = pd.concat(tables, ignore_index=True)
        return cls(points, tuple(dict(s.info) for s in scored), meta)

    @cached_property
    def frame(self) -> Frame:
        """One row per contestant, split, level and run.

        ``rows`` scored; means over them of ``crps``, ``log_score``, ``interval_score`` (of the 90 % band), ``width``
        (of that band, nats), ``rmse``, ``mae``, ``bias`` of the point forecast (all nats per token), ``relative_error``
        (mean |error| / loss), ``cover50 ... cover95`` (shares of the rows inside); ``final_error``, relative error of
        the run's last row, with its sign; ``curve_error``, the curve's mean error in predictive sd of it.
        """
        p: Any = self.points
        error = p["mean"] - p["loss"]
        table = p[CURVE].assign(
            rows=1.0,
            crps=p["crps"],
            log_score=p["log_score"],
            interval_score=interval_score(p["lo90"], p["hi90"], p["loss"], 0.9),
            width=p["hi90"] - p["lo90"],
            relative_width=(p["hi90"] - p["lo90"]) / p["loss"],
            rmse=error**2,
            mae=error.abs(),
            bias=error,
            relative_error=error.abs() / p["loss"],
            **{f"cover{_percent(v)}": _inside(p, v) for v in LEVELS},
            final_error=np.where(p["final"], error / p["loss"], np.nan),
            curve_error=p["curve_error"],
        )
        out = table.groupby(CURVE, sort=False, dropna=False).mean()
        out["rmse"] = np.sqrt(out["rmse"])
        out["rows"] = table.groupby(CURVE, sort=False, dropna=False)["rows"].sum().astype(int)
        return out.reset_index()

    @property
    def models(self) -> tuple[str, ...]:
        """The contestants, models first."""
        return tuple(dict.fromkeys(self.points["model"]))

    def summary(
        self, *, by: Sequence[str] = (), final: bool = False, common: bool = True, cluster: str = "run"
    ) -> Frame:
        """One row per level and contestant (and per value of the columns ``by`` of ``frame``).

        Means over curves (one per split and run), with the 95 % cluster-bootstrap interval over runs of the 90 %
        coverage (``cover90_lo``, ``cover90_hi``; too narrow with few runs, see ``scores.pooled``); ``pit_p``, the test
        of uniform PIT over runs, ``pit_bias`` and ``pit_spread``, as in ``scores.PitTest``; ``final_error``, mean
        absolute relative error of last rows; ``worst_curve``, the largest |``curve_error``|; and for every contestant
        that is a model, ``crps_skill`` and ``interval_skill``, 1 less the ratio to ``best_crps`` and
        ``best_interval``, the best baselines.

        Parameters
        ----------
        final : only the last rows of the runs.
        cluster : column of ``frame`` whose members share their errors, and are drawn again together.
        common : count only curves for which every contestant that answered anything has an answer.
        """
        source = self if not final else Backtest(self.points[self.points["final"]], self.units, self.meta)
        rows = []
        for key, part in source.frame.groupby(["level", *by], sort=False):
            sizes = part.groupby("model", sort=False).size()
            if common and sizes.nunique() > 1:
                every = part.groupby(["split", "run"])["model"].transform("nunique") == len(sizes)
                part = part[every] if every.any() else part
            block = [
                dict(zip(["level", *by], key, strict=True)) | _pool(model, curves, source.points, cluster)
                for model, curves in part.groupby("model", sort=False)
            ]
            rows += _skills(block, set(self.meta.get("models", ())))
        return pd.DataFrame(rows)

    def save(self, path: str | Path) -> None:
        """Write as one JSON file, whole or not at all. FileError if the place cannot be written."""
        path = Path(path)
        try:
            with written_whole(path) as draft:
                draft.write_text(self.to_json() + "\n", encoding="utf-8")
        except OSError as error:
            raise FileError(f"Cannot save the backtest as {path}: {error.strerror or error}.") from None

    def to_json(self) -> str:
        """Schema, summary, frame, points (by column) and units as one JSON text; losses in nats per token."""
        points = {
            str(name): [_plain(v) for v in self.points[name].tolist()] for name in self.points.columns
        }  # fmt: skip
        content = {
            "schema": SCHEMA,
            "units_of_measure": {"loss": "nats per token", "crps": "nats per token", "width": "nats per token"},
            "meta": self.meta,
            "summary": _records(self.summary()),
            "frame": _records(self.frame),
            "points": points,
            "fits": list(self.units),
        }
        return json.dumps(content, allow_nan=False, default=str)

    @classmethod
    def load(cls, path: str | Path) -> Backtest:
        """Read what ``save`` wrote. FileError if it is missing, or no backtest."""
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            if content["schema"] != SCHEMA:
                raise KeyError(content["schema"])
            points = pd.DataFrame(content["points"])
            for name in points.columns.intersection(["n_params", "step", "tokens", "reach", "reach_n", "curve_error"]):
                points[name] = points[name].astype(float)
            return cls(points, tuple(content["fits"]), content["meta"])
        except OSError as error:
            raise FileError(f"Cannot read {path}: {error.strerror}.") from None
        except (KeyError, TypeError, ValueError, AttributeError):
            raise FileError(
                f"{path} is not a backtest that bayeslaw saved. Make one: bayeslaw backtest RUNS -o {path}."
            ) from None

    def told(self, fit: Any, rows: Frame, given: Frame | None = None) -> list[str]:
        """Sentences on how forecasts of ``rows`` by ``fit``, with the rows ``given`` known, are to be trusted; see
        ``bayeslaw.backtest_told``."""
        from bayeslaw.backtest_told import told

        return told(self, fit, rows, given)

    def __repr__(self) -> str:
        runs = self.points["run"].nunique()
        return f"<Backtest by {self.meta.get('by', '?')}: {len(self.models)} contestants on {runs:,} runs>"

    def __str__(self) -> str:
        from bayeslaw.backtest_text import describe

        return describe(self)


def _inside(p: Frame, level: float) -> Any:
    name = _percent(level)
    return ((p["loss"] >= p[f"lo{name}"]) & (p["loss"] <= p[f"hi{name}"])).astype(float)


def _percent(level: float) -> str:
    return f"{100 * level:g}"


def _pool(model: Any, curves: Frame, points: Frame, cluster: str) -> dict[str, Any]:
    """Means over curves of one contestant."""
    keys = pd.MultiIndex.from_frame(curves[CURVE])
    mine = points[pd.MultiIndex.from_frame(points[CURVE]).isin(keys)]
    test = pit_test(mine["pit"], mine[cluster])
    cover = pooled(curves["cover90"], curves[cluster])
    names = ["crps", "log_score", "interval_score", "width", "relative_width", "rmse", "mae", "bias", "relative_error"]
    return {
        "model": model,
        "curves": len(curves),
        "runs": curves["run"].nunique(),
        "clusters": cover.runs,
        "rows": int(curves["rows"].sum()),
        **{f"cover{_percent(v)}": float(curves[f"cover{_percent(v)}"].mean()) for v in LEVELS},
        "cover90_lo": cover.low,
        "cover90_hi": cover.high,
        **{name: float(curves[name].mean()) for name in names},
        "final_error": float(curves["final_error"].abs().mean()),
        "worst_curve": float(curves["curve_error"].abs().max()),
        "pit_p": test.p,
        "pit_bias": test.bias,
        "pit_spread": test.spread,
    }


def _skills(block: list[dict[str, Any]], models: set[str]) -> list[dict[str, Any]]:
    for score, name in (("crps", "crps"), ("interval_score", "interval")):
        others = [row for row in block if row["model"] not in models]
        best = min(others, key=lambda row: row[score], default=None)
        for row in block:
            ours = row["model"] in models and best is not None
            row[f"best_{name}"] = best["model"] if ours and best else None
            row[f"{name}_skill"] = 1 - row[score] / best[score] if ours and best else np.nan
    return block


def _records(frame: Frame) -> list[dict[str, Any]]:
    return [{str(k): _plain(v) for k, v in row.items()} for row in frame.to_dict(orient="records")]


def _plain(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float):
        return float(f"{value:.7g}") if math.isfinite(value) else None
    return value
