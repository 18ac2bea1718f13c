"""A fit as a labelled tree and as one netCDF file: written whole or not at all, refused where it does not match."""

from __future__ import annotations

import json
import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayeslaw import __version__
from bayeslaw.cards import Card
from bayeslaw.engine.assemble import Problem, lay_out
from bayeslaw.errors import FileError, FitError
from bayeslaw.files import HDF5, written_whole
from bayeslaw.laws import LAWS, Schedule

if TYPE_CHECKING:
    import xarray as xr

    from bayeslaw.fit import Fit

#: raised when a file of the old form could be misread
FORMAT = 1
_SAMPLE_STATS = {"steps": "n_steps"}


def versions() -> dict[str, str]:
    """Versions of the packages that numbers depend on."""
    found = {"bayeslaw": __version__}
    for name in ("jax", "numpyro", "numpy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


def posterior_dataset(fit: Fit) -> xr.Dataset:
    """Draws of the parameters in published units, dims (chain, draw, ...)."""
    import jax
    import xarray as xr

    from bayeslaw.engine.posterior import parameter_draws

    chains, draws = fit.z.shape[:2]
    with jax.enable_x64(True):
        found = parameter_draws(fit.problem, fit.z.reshape(chains * draws, -1), int(fit.meta.get("seed", 0)))
    variables, used = {}, set()
    for name, (dims, array) in found.items():
        variables[name] = (("chain", "draw", *dims), array.reshape(chains, draws, *array.shape[1:]))
        used |= set(dims)
    coords: dict[str, Any] = {"chain": np.arange(chains), "draw": np.arange(draws)}
    coords |= {level: members for level, members in fit.problem.levels.items() if level in used}
    if "series" in used:
        coords["run"] = ("series", fit.problem.series["run"].astype(str).to_numpy(object))
        if "exit_step" in fit.problem.series:
            coords["exit_step"] = ("series", fit.problem.series["exit_step"].to_numpy(float))
    return xr.Dataset(variables, coords=coords)


def to_tree(fit: Fit) -> xr.DataTree:
    """Groups posterior, sample_stats, unconstrained (the sampler's coordinates) and observed_data (the bins)."""
    import xarray as xr

    stats = {_SAMPLE_STATS.get(k, k): (("chain", "draw"), v) for k, v in fit.stats.items()}
    z = xr.Dataset(
        {"z": (("chain", "draw", "coordinate"), fit.z)}, coords={"coordinate": fit.problem.layout.coordinate_names()}
    )
    bins = fit.problem.bins.copy()
    for name in bins.columns:
        if not pd.api.types.is_numeric_dtype(bins[name]) or pd.api.types.is_bool_dtype(bins[name]):
            # an empty cell stays empty: as text it would be a name
            bins[name] = bins[name].astype("string").fillna("").to_numpy(object)
    observed = xr.Dataset({str(c): ("bin", bins[c].to_numpy()) for c in bins.columns})
    tree = xr.DataTree.from_dict(
        {"posterior": fit.posterior, "sample_stats": xr.Dataset(stats), "unconstrained": z, "observed_data": observed}
    )
    # one attribute: lists of one element and nested tables do not survive as netCDF attributes
    tree.attrs["bayeslaw"] = json.dumps(_config(fit))
    return tree


def _config(fit: Fit) -> dict[str, Any]:
    problem = fit.problem
    return {
        "format": FORMAT,
        "card": dict(fit.card.source),
        "meta": dict(fit.meta),
        "points": problem.layout.likelihood == "points",
        "max_bins": problem.max_bins,
        "notes": list(problem.notes),
        "schedules": {run: [s.steps.tolist(), s.rates.tolist(), int(s.warmup)] for run, s in problem.schedules.items()},
        "coordinates": problem.layout.coordinate_names(),
    }


def save(fit: Fit, path: str | Path) -> None:
    """Write a fit to ``path`` (netCDF4), under another name first. FileError if the place cannot be written."""
    path = Path(path)
    try:
        with written_whole(path) as draft:
            fit.tree.to_netcdf(draft, engine="h5netcdf")
    except OSError as error:
        # HDF5 says it in a paragraph; the system's own words for the number are enough
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise FileError(f"Cannot save the fit as {path}: {reason}.") from None


def load_fit(path: str | Path) -> Fit:
    """Read a fit that ``Fit.save`` wrote.

    Raises
    ------
    FileError
        The file is missing, is not a fit, was cut short, comes from a newer version, or its parts do not belong
        together; the message says which.
    """
    import xarray as xr

    from bayeslaw.fit import Fit

    path = Path(path)
    if not path.is_file():
        what = "is a directory, not a saved fit" if path.is_dir() else "does not exist"
        raise FileError(f"{path} {what}. Save one with fit.save({str(path)!r}) or bayeslaw fit ... -o {path}.")
    with path.open("rb") as content:
        begins = content.read(len(HDF5))
    if begins and not HDF5.startswith(begins):
        raise FileError(
            f"{path} is no saved fit. If it is a log, fit it first: bayeslaw fit {path} -o fit.nc, or bl.fit(...) and "
            f"fit.save('fit.nc')."
        )
    try:
        with xr.open_datatree(path, engine="h5netcdf") as tree:
            tree = tree.load()
    except Exception as error:  # h5py raises OSError, KeyError, RuntimeError, ... on damaged files
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FileError(
            f"{path} cannot be read as a saved fit ({reason}): it is not netCDF, or was cut short. Fit again, or copy "
            f"the file anew."
        ) from None
    try:
        config = json.loads(tree.attrs["bayeslaw"])
        form = config["format"]
        if not isinstance(form, int):
            raise TypeError(form)
    except (KeyError, TypeError, ValueError):
        raise FileError(
            f"{path} is a netCDF file but not a fit that bayeslaw saved: it has no bayeslaw record."
        ) from None
    if form > FORMAT:
        writer = config.get("meta", {}).get("versions", {}).get("bayeslaw", "?")
        raise FileError(
            f"{path} was written by bayeslaw {writer}, in form {form}; this is {__version__}, which reads up to "
            f"form {FORMAT}. Upgrade: pip install -U bayeslaw."
        )
    law = config["card"].get("law") if isinstance(config.get("card"), dict) else None
    if isinstance(law, str) and law not in LAWS:
        raise FileError(
            f"{path} was fitted with the law {law!r}, which is not known here. If it is one of your own, import the "
            f"module that registers it, in Python, before the fit is read."
        )
    try:
        fit = Fit(*_parts(tree, config))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FileError(f"{path} is not whole or was changed: {error}. Fit again.") from None
    return fit


def _parts(tree: Any, config: dict[str, Any]) -> tuple[Card, Problem, np.ndarray, dict[str, np.ndarray], dict]:
    bins = tree["observed_data"].to_dataset().to_dataframe().reset_index(drop=True)
    card = Card.from_dict(config["card"], where="the fit's card")
    schedules = {
        run: Schedule(np.array(steps, float), np.array(rates, float), warmup)
        for run, (steps, rates, warmup) in config["schedules"].items()
    }
    problem = _problem(card, bins, schedules, config)
    stats = tree["sample_stats"].to_dataset()
    back = {new: old for old, new in _SAMPLE_STATS.items()}
    found = {back.get(str(k), str(k)): v.to_numpy() for k, v in stats.data_vars.items()}
    return card, problem, tree["unconstrained"]["z"].to_numpy(), found, config["meta"]


def _problem(card: Card, bins: pd.DataFrame, schedules: dict[str, Schedule], config: dict[str, Any]) -> Problem:
    """The model that the draws are of. ValueError if the card and the data have other parameters than they.

    A file does not tell a cell that was empty from one that held an empty text, such as a group without a name: the
    draws' parameters tell which it was.
    """
    for read in _readings(bins):
        try:
            problem = lay_out(card, read, schedules, config["points"], config["max_bins"], list(config["notes"]))
        except FitError:
            if read is bins:
                raise
            continue
        if problem.layout.coordinate_names() == config["coordinates"]:
            return problem
    raise ValueError("its draws are of other parameters than its card and data have")


def _readings(bins: pd.DataFrame) -> list[pd.DataFrame]:
    """The bins with empty texts taken for missing, where there are any; and as they stand."""
    texts = {str(c): bins[c] for c in bins.columns if not pd.api.types.is_numeric_dtype(bins[c])}
    emptied = {name: cells.mask(cells == "") for name, cells in texts.items() if bool((cells == "").any())}
    return [bins.assign(**emptied), bins] if emptied else [bins]
