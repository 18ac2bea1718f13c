"""The command line: data on stdout, talk on stderr, exit codes as in :mod:`bayeslaw.cli.guard`.

Each command lives in its family's file and imports what it needs when it runs, so that ``bayeslaw --help`` does not
wait for JAX. Commands call the public Python functions and nothing beneath them.
"""

from __future__ import annotations

import os

import click

from bayeslaw import __version__
from bayeslaw.cli.anomalies import anomalies
from bayeslaw.cli.backtesting import backtest, compare
from bayeslaw.cli.cache import keep_compiled
from bayeslaw.cli.catalog import laws, models
from bayeslaw.cli.common import flags
from bayeslaw.cli.demo import demo
from bayeslaw.cli.examples import epilog
from bayeslaw.cli.fitting import check, fit
from bayeslaw.cli.forecasting import forecast
from bayeslaw.cli.guard import GuardedGroup
from bayeslaw.cli.loading import load
from bayeslaw.cli.planning import next_runs, plan
from bayeslaw.cli.reporting import report
from bayeslaw.cli.watching import watch

EPILOG = """Exit codes: 0 fine; 1 the answer is bad news, such as diagnostics that fail; 2 no answer, because of wrong
usage, bad input or a defect; 130 interrupted.

Completion: put eval "$(_BAYESLAW_COMPLETE=bash_source bayeslaw)" into ~/.bashrc, or zsh_source into ~/.zshrc; for fish,
_BAYESLAW_COMPLETE=fish_source bayeslaw | source."""


@click.group(cls=GuardedGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="bayeslaw")
@click.option("--debug", is_flag=True, help="Show the traceback of an unexpected error.")
def cli(debug: bool) -> None:
    """Forecast the loss of pretraining runs, with honest uncertainty.

    Start with `bayeslaw demo`, or with a log of your own: `bayeslaw load LOG --explain` shows what is in it,
    `bayeslaw forecast LOG --to 2T` how it goes on.
    """


COMMANDS = (
    load, fit, check, forecast, plan, next_runs, anomalies, watch, backtest, compare, report, models, laws, demo
)  # fmt: skip
cli.params += flags()
for command in COMMANDS:
    command.epilog = epilog(str(command.name))
    command.params += flags()
    cli.add_command(command)


def main() -> None:
    """Entry point of the console script; leaves with one of the documented exit codes."""
    keep_compiled(os.environ)
    cli.main(prog_name="bayeslaw")
