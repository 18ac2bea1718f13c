"""``bayeslaw fit`` and ``bayeslaw check``: a posterior, and whether to trust it."""

from __future__ import annotations

from typing import Any

import click

from bayeslaw.cli.common import sampling_options, seed_option, talk
from bayeslaw.cli.guard import BAD_NEWS, OK
from bayeslaw.cli.output import emit_json, emit_text, json_option, rows_of, writable
from bayeslaw.cli.progress import sampling_progress
from bayeslaw.cli.reading import Reading, reading_options


@click.command()
@click.argument("data", nargs=-1, required=True, metavar="DATA...")
@reading_options
@click.option("-m", "--model", default="chinchilla", show_default=True, help="A model card: its name, or a TOML file.")
@click.option("-o", "--output", default="fit.nc", show_default=True, metavar="FILE", help="Where to save the fit.")
@click.option("--where", metavar="QUERY", help="Fit these rows only; a pandas query, e.g. \"split == 'fit'\".")
@seed_option
@sampling_options
@json_option
@click.pass_context
def fit(
    ctx: click.Context,
    data: tuple[str, ...],
    reading: Reading,
    model: str,
    output: str,
    where: str | None,
    seed: int,
    chains: int,
    warmup: int | None,
    draws: int | None,
    as_json: bool,
) -> None:
    """Fit a model card to runs and save the fit.

    Prints whether the fit can be trusted; the exit code is 1 if not, and the fit is saved all the same.
    """
    import bayeslaw

    writable(output)
    bayeslaw.load_card(model)  # a card that is not there is said before the log is read
    runs = reading.read(data)
    if where:
        runs = runs.where(where)
    with sampling_progress() as progress:
        result = bayeslaw.fit(
            runs, model=model, seed=seed, chains=chains, warmup=warmup, draws=draws, progress=progress
        )  # fmt: skip
    result.save(output)
    verdict = result.check()
    if as_json:
        _emit_check("fit", verdict, path=output, model=model)
    else:
        emit_text(str(result))
    talk(f"saved to {output}; next: bayeslaw forecast {output} --at ROWS")
    ctx.exit(OK if verdict.ok else BAD_NEWS)


@click.command()
@click.argument("path", metavar="FIT")
@json_option
@click.pass_context
def check(ctx: click.Context, path: str, as_json: bool) -> None:
    """Say whether a saved fit can be trusted; exit 1 if not."""
    import bayeslaw

    verdict = bayeslaw.load_fit(path).check()
    if as_json:
        _emit_check("check", verdict, path=path)
    else:
        emit_text(str(verdict))
    ctx.exit(OK if verdict.ok else BAD_NEWS)


def _emit_check(schema: str, verdict: Any, **content: Any) -> None:
    checks = [{name: None if cell == "" else cell for name, cell in row.items()} for row in rows_of(verdict.frame)]
    emit_json(schema, [], **content, ok=bool(verdict.ok), verdict=str(verdict), checks=checks)
