"""Options that commands share: ``-v`` and ``-q`` on every one, before or after its name; ``--seed`` where it draws.

The two flags are kept in the context and not handed to commands as arguments, so that a new command has them without
a line of its own: it says what may be left unsaid with :func:`talk`, and what must be heard with ``guard.say``.
What rests on a saved fit ends in the exit code of :func:`trusted`.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from bayeslaw.cli.guard import BAD_NEWS, OK, say

if TYPE_CHECKING:
    from bayeslaw.fit import Fit

_QUIET, _VERBOSE = "bayeslaw.quiet", "bayeslaw.verbose"

seed_option = click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="The same seed gives the same answer."
)


def sampling_options(command: Any) -> Any:
    """``--chains``, ``--warmup`` and ``--draws`` of a command that fits."""
    draws = "as many as the checks need"
    for option in (
        click.option("--draws", type=click.IntRange(min=4), show_default=draws, help="Draws kept per chain."),
        click.option("--warmup", type=click.IntRange(min=50), show_default="300", help="Warm-up draws per chain."),
        click.option("--chains", type=click.IntRange(min=1), default=4, show_default=True,
                     help="Two or more can be checked."),
    ):  # fmt: skip
        command = option(command)
    return command


def flags() -> list[click.Option]:
    """``-v`` and ``-q``, for the group and for each command: either place counts."""
    return [
        click.Option(["-v", "--verbose"], is_flag=True, expose_value=False, callback=_remember(_VERBOSE),
                     help="Say how each log was read, as `load --explain` does."),
        click.Option(["-q", "--quiet"], is_flag=True, expose_value=False, callback=_remember(_QUIET),
                     help="No progress and no talk: the answer, warnings and errors alone."),
    ]  # fmt: skip


def _remember(key: str) -> Callable[[click.Context, click.Parameter, bool], None]:
    def remember(context: click.Context, _param: click.Parameter, value: bool) -> None:
        if value:
            context.meta[key] = True  # shared by a command's context and its group's

    return remember


def is_quiet() -> bool:
    """Whether the user asked for no talk."""
    return _asked(_QUIET)


def is_verbose() -> bool:
    """Whether the user asked how logs were read."""
    return _asked(_VERBOSE)


def _asked(key: str) -> bool:
    context: Any = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(key))


def talk(text: str) -> None:
    """One paragraph on stderr that a user may do without: what was chosen, written or drawn, and what to do next."""
    if not is_quiet():
        say(text)


def trusted(fit: Fit, path: str) -> int:
    """The exit code of an answer from the saved fit at ``path``: bad news, and why, where its sampling failed a check.

    Whoever reads the answer need not be who fitted, and did not see the verdict then.
    """
    verdict = fit.check()
    if verdict.ok:
        return OK
    say(f"warning: {headline(verdict)} `bayeslaw check {shlex.quote(path)}` tells what to do.")
    return BAD_NEWS


def headline(verdict: Any) -> str:
    """The first sentence of a verdict on a fit, which says whether to trust it."""
    return str(verdict).splitlines()[0]


def given_by_user(*names: str) -> list[str]:
    """Those of the command's options (``n_params``) that the user gave, as they are written (``--n-params``)."""
    context = click.get_current_context()
    defaults = (click.core.ParameterSource.DEFAULT, click.core.ParameterSource.DEFAULT_MAP)
    written = {p.name: max(p.opts, key=len) for p in context.command.params}
    return [written[name] for name in names if context.get_parameter_source(name) not in (None, *defaults)]
