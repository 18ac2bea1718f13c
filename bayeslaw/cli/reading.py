"""Options that say how a log is to be read, shared by every command that reads one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from bayeslaw.cli.common import given_by_user, is_verbose

if TYPE_CHECKING:
    from bayeslaw.data.runs import Runs


@dataclass(frozen=True)
class Reading:
    """How to read a log: canonical column -> its name in the file, and what the file leaves out."""

    columns: dict[str, str]
    n_params: str | None = None
    group: str | None = None
    batch_tokens: str | None = None
    data_order: str | None = None

    def read(self, paths: str | Sequence[str], *, need_loss: bool = True) -> Runs:
        """The runs of one or several files."""
        import bayeslaw

        columns = {name: source for name, source in self.columns.items() if need_loss or name != "loss"}
        files = [paths] if isinstance(paths, str) else list(paths)
        runs = bayeslaw.load(
            files[0] if len(files) == 1 else files,
            columns=columns or None,
            n_params=self.n_params,
            group=self.group,
            batch_tokens=self.batch_tokens,
            need_loss=need_loss,
            data_order=self.data_order,
        )
        if is_verbose():
            click.echo(runs.explain(), err=True)
        return runs


#: the options of ``reading_options``
OPTIONS = ("columns", "n_params", "group", "batch_tokens", "data_order")


def nothing_to_read(why: str, with_what: str, used: Sequence[str] = ()) -> None:
    """A usage error if a reading option that is not ``used`` was given where no log is read: it would change nothing,
    in silence."""
    given = given_by_user(*(name for name in OPTIONS if name not in used))
    if given:
        raise click.UsageError(
            f"{', '.join(given)} {'says' if len(given) == 1 else 'say'} how a log is read, and {why}: "
            f"{'it goes' if len(given) == 1 else 'they go'} with {with_what}."
        )


def named(runs: Runs, names: Sequence[str]) -> None:
    """A usage error for a run that a log does not have."""
    there = list(dict.fromkeys(map(str, runs.frame["run"])))
    for name in names:
        if name not in there:
            some = ", ".join(map(repr, there[:5])) + (" ..." if len(there) > 5 else "")
            raise click.UsageError(f"--run {name}: there is no such run in {runs.source}, which has {some}.")


def _columns(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    columns = {}
    for value in values:
        name, separator, source = value.partition("=")
        if not (name and separator and source):
            raise click.BadParameter(f"{value!r} is not NAME=COLUMN; write for example --column loss=train/loss.")
        columns[name.strip()] = source
    return columns


def reading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the reading options to a command, which receives them as one argument ``reading``."""

    @click.option(
        "--column", "columns", multiple=True, callback=_columns, metavar="NAME=COLUMN",
        help="The file's column for one of ours, e.g. loss=train/loss. May be repeated.",
    )  # fmt: skip
    @click.option("--n-params", metavar="N", help="Parameters of every run, e.g. 70B, where the log does not say.")
    @click.option("--group", help="Corpus or family of every run, where the log does not say.")
    @click.option("--batch-tokens", metavar="TOKENS", help="Tokens per optimizer step: tokens = step x TOKENS.")
    @click.option(
        "--data-order", metavar="NAME", help="Any name: every run read the same batches at the same steps."
    )  # fmt: skip
    @wraps(command)
    def wrapper(
        *args: Any, columns: Any, n_params: Any, group: Any, batch_tokens: Any, data_order: Any, **kwargs: Any
    ) -> Any:
        return command(*args, reading=Reading(columns, n_params, group, batch_tokens, data_order), **kwargs)

    return wrapper
