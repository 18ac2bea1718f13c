"""Build the API reference from the docstrings: `python docs/api.py [FOLDER]`, by default docs/api.

Needs the extra `docs`. Warnings of the builder are errors here: a broken annotation or import ends the build.
"""

from __future__ import annotations

import contextlib
import sys
import warnings
from pathlib import Path

import pdoc

#: the package (its public names and the public modules among them), then the modules that a user imports from
MODULES = (
    "bayeslaw", "bayeslaw.laws.base", "bayeslaw.splits", "bayeslaw.scores", "bayeslaw.baselines",
    "bayeslaw.plan.frontier", "bayeslaw.plan.looped", "bayeslaw.plan.portfolio", "bayeslaw.plan.isoflop",
    "bayeslaw.plan.optimum", "bayeslaw.plots.bands", "bayeslaw.plots.planning", "bayeslaw.plots.anomalies",
    "bayeslaw.plots.calibration", "bayeslaw.plots.looped", "bayeslaw.plots.longrun", "bayeslaw.plots.whatif",
    r"!bayeslaw\.baselines\..+",
)  # fmt: skip


def build(folder: Path) -> None:
    """Write the pages into a folder."""
    pdoc.render.configure(
        docformat="numpy", show_source=False, footer_text="bayeslaw: losses in nats per token", math=False
    )
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    # away from a checkout: its folder bayeslaw/ beside an installed bayeslaw would be two packages of one name
    with warnings.catch_warnings(), contextlib.chdir(folder):
        warnings.simplefilter("error")
        pdoc.pdoc(*MODULES, output_directory=folder)


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent / "api"
    build(target)
    print(f"open {target / 'index.html'}")
