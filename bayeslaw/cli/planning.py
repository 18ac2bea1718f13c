"""`bayeslaw plan` and `bayeslaw next-runs`: where a budget goes, and which runs to buy before it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from bayeslaw.cli.common import given_by_user, seed_option, talk, trusted
from bayeslaw.cli.guard import BAD_NEWS, say
from bayeslaw.cli.output import draw, drawable, emit_json, emit_table, emit_text, json_option, plain, rows_of

UNITS = {"n_params": "parameters", "tokens": "tokens", "recurrence": "recurrent steps", "loss": "nats per token",
         "tokens_per_param": "tokens per parameter", "loss_observed": "nats per token", "flops": "FLOP"}  # fmt: skip


def rate_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that turn FLOP into device-hours, days and money."""
    for option in (
        click.option("--devices", type=click.IntRange(min=1), metavar="K", help="Number of devices, for days."),
        click.option("--price", type=float, metavar="P", help="Price of a device-hour, in any currency."),
        click.option("--mfu", type=float, default=0.4, show_default=True, help="Share of the device's peak kept up."),
        click.option("--peak", type=float, metavar="FLOP/S", help="Peak of a device that is not in the list."),
        click.option("--gpu", metavar="NAME", help="Device, e.g. h100: FLOP become hours."),
    ):
        command = option(command)
    return command


def _rates(budgets: tuple[str | None, ...], gpu: str | None, **how: Any) -> Any:
    """The rates of the options; a usage error for those of a device that neither they nor the budgets name."""
    from bayeslaw.plan import parse_budget, rates

    known = rates(gpu, **how)
    told = [known, *(parse_budget(text, known)[1] for text in budgets if text is not None)]
    idle = given_by_user("price", "devices", "mfu")
    if idle and not any(one.peak for one in told):
        raise click.UsageError(
            f"{', '.join(idle)}: FLOP become hours, days and money on a device, and none is named. Add --gpu h100, or "
            "the peak of another with --peak 989e12."
        )
    return known


def _numbers(_ctx: click.Context, param: click.Parameter, text: str | None) -> Any:
    from bayeslaw.data.units import parse

    if text is None:
        return None
    found = [parse(part, param.name or "number") for part in text.split(",")]
    return found if param.name in ("sizes", "recurrences") else found[0]


@click.command("plan")
@click.argument("path", metavar="FIT")
@click.option("--flops", "--budget", "flops", metavar="BUDGET", help='5.76e23, "2000 H100-hours", "$50k", ...')
@click.option("--target-loss", type=float, metavar="NATS", help="Instead: the budget that reaches this loss.")
@click.option("--group", metavar="NAME", help="The corpus to plan for, where several were fitted.")
@rate_options
@click.option("--sizes", callback=_numbers, metavar="N,N,...", help="The only sizes that may be trained: 1B,7B,70B.")
@click.option("--max-params", callback=_numbers, metavar="N", help="The largest size.")
@click.option("--memory", callback=_numbers, metavar="BYTES", help="Bytes that the weights may take, 2 each: 80G.")
@click.option("--max-tokens", callback=_numbers, metavar="D", help="Tokens of data there are.")
@click.option("--recurrences", callback=_numbers, metavar="R,R,...", help="Recurrent steps to choose among.")
@click.option("--inference-tokens", callback=_numbers, metavar="D", help="Tokens served over the model's life.")
@click.option("--cost", type=click.Choice(["measured", "6ND"]), default="measured", show_default=True,
              help="FLOP of a token.")  # fmt: skip
@click.option("--misfit", type=click.FloatRange(min=0), metavar="SHARE",
              help="How far losses stray from the law over a factor of a hundred; 0: not at all. [chinchilla, "
              "chinchilla-interaction: 0.08]")  # fmt: skip
@seed_option
@click.option("--plot", metavar="FILE", help="Draw the frontier and the regret (or P(target)), e.g. plan.png.")
@json_option
@click.pass_context
def plan(
    ctx: click.Context,
    path: str,
    flops: str | None,
    target_loss: float | None,
    group: str | None,
    gpu: str | None,
    peak: float | None,
    mfu: float,
    price: float | None,
    devices: int | None,
    cost: str,
    misfit: float | None,
    seed: int,
    plot: str | None,
    as_json: bool,
    **bounds: Any,
) -> None:
    """Find the compute-optimal size and tokens of a budget.

    Every number has a median and 50 % and 90 % intervals. With --target-loss the budget is what is found; the exit code
    is 1 if no budget reaches the target, or if the fit cannot be trusted.
    """
    import bayeslaw
    from bayeslaw.plan import Limits, Misfit
    from bayeslaw.plan import plan as make
    from bayeslaw.plan.reach import ADDITIVE

    if (flops is None) == (target_loss is None):
        raise click.UsageError("give a budget (--flops 1e22) or a target (--target-loss 2.0), one of the two.")
    drawable(plot)
    known = _rates((flops,), gpu, peak=peak, mfu=mfu, price=price, devices=devices)
    limits = Limits(**{k: v for k, v in bounds.items() if v is not None})
    fit = bayeslaw.load_fit(path)
    code = trusted(fit, path)
    how = {"group": group, "limits": limits, "cost": cost, "seed": seed}
    if target_loss is not None:
        if misfit:
            raise click.UsageError("--misfit goes with a budget: a target is told by the law alone.")
        _target(ctx, fit, target_loss, plot, as_json, rates=known, **how)
        ctx.exit(code)
    if misfit is None:
        stray = Misfit() if fit.problem.layout.law in ADDITIVE else None
    else:
        stray = Misfit(scale=misfit) if misfit else None
    found = make(fit, flops, rates=known, misfit=stray, **how)
    if as_json:
        emit_plan(found)
    else:
        emit_text(str(found))
    if plot is not None:
        from bayeslaw.plan.frontier import frontier_about
        from bayeslaw.plots.planning import plot_plan

        draw(plot_plan(found, frontier_about(fit, found, **how)), plot)
        talk(f"drew {plot}")
    ctx.exit(code)


def emit_plan(found: Any) -> None:
    """A plan as JSON: each quantity with mean, median, lo50, hi50, lo90, hi90."""
    quantities = {str(name): dict(row) for name, row in found.frame.to_dict(orient="index").items()}
    rates, choice = found.rates, found.choice
    emit_json(
        "plan",
        UNITS,
        flops=found.flops,
        device_hours=rates.hours(found.flops),
        days=rates.days(found.flops),
        money=rates.money(found.flops),
        group=found.group,
        cost=found.cost,
        **quantities,
        exponents={str(k): dict(v) for k, v in found.exponents.to_dict(orient="index").items()},
        choice={"n_params": choice.n_params, "tokens": choice.tokens, "recurrence": choice.recurrence,
                "expected_loss": choice.loss, "expected_regret": choice.regret},
        sensitivity=rows_of(found.sensitivity),
        decades_beyond_data=found.decades,
        misfit=None if found.strayed is None else asdict(found.strayed),
        quantity_units=UNITS,
        notes=list(found.notes),
    )  # fmt: skip


def _target(ctx: click.Context, fit: Any, loss: float, plot: str | None, as_json: bool, **how: Any) -> None:
    from bayeslaw.errors import TargetError
    from bayeslaw.plan import target

    try:
        found = target(fit, loss, **how)
    except TargetError as error:
        if as_json:
            emit_json(
                "target",
                {"flops": UNITS["flops"], "target_loss": UNITS["loss"]},
                target_loss=loss,
                unreachable=error.probability,
                flops=None,
                notes=[str(error)],
            )
        say(str(error))
        ctx.exit(BAD_NEWS)
    if as_json:
        curve = rows_of(found.curve)
        emit_json("target", ["flops"], target_loss=loss, unreachable=found.unreachable, flops=plain(found.budget),
                  money={k: found.rates.money(v) for k, v in found.budget.items()}, curve=curve,
                  notes=list(found.notes))  # fmt: skip
    else:
        emit_text(str(found))
    if plot is not None:
        from bayeslaw.plots.planning import plot_target

        draw(plot_target(found), plot)
        talk(f"drew {plot}")


@click.command("next-runs")
@click.argument("path", metavar="FIT")
@click.option("--candidates", "table", required=True, metavar="FILE",
              help="A table: run, two of n_params, tokens and flops; group, if not --group's.")  # fmt: skip
@click.option("--flops", "--for", "flops", required=True, metavar="BUDGET", help="The big run's budget.")
@click.option("--budget", metavar="BUDGET", help="What the small runs may cost together. [a tenth of the big run]")
@click.option("--by", type=click.Choice(["value", "variance"]), default="value", show_default=True,
              help="Most saved less its price, or the loss at the target narrowed most.")  # fmt: skip
@click.option("--group", metavar="NAME", help="The big run's corpus, where several were fitted.")
@click.option("--misfit", type=click.FloatRange(min=0), default=0.08, show_default=True, metavar="SHARE",
              help="How far losses stray from the law over a factor of a hundred; 0: not at all.")  # fmt: skip
@rate_options
@seed_option
@json_option
@click.pass_context
def next_runs(
    ctx: click.Context,
    path: str,
    table: str,
    flops: str,
    budget: str | None,
    by: str,
    group: str | None,
    misfit: float,
    seed: int,
    as_json: bool,
    **rating: Any,
) -> None:
    """Choose which cheap runs to train before a big one.

    Says "none" when no run saves the big one more than it costs. The exit code is 1 if the fit cannot be trusted.
    """
    import bayeslaw
    from bayeslaw.data.units import human
    from bayeslaw.plan.misfit import Misfit
    from bayeslaw.plan.next_runs import next_runs as choose

    known = _rates((flops, budget), **rating)
    rows = _read_candidates(table)
    stray = Misfit(scale=misfit) if misfit else None
    fit = bayeslaw.load_fit(path)
    code = trusted(fit, path)
    found = choose(fit, rows, flops, budget=budget, by=by, group=group, misfit=stray, rates=known, seed=seed)
    if as_json:
        emit_json("next-runs", ["n_params", "tokens", "recurrence", "flops"], big_run_flops=found.flops,
                  budget=found.budget, mistake=found.mistake, chosen=list(found.chosen), cost=found.cost,
                  saving=found.saving, net=found.net,
                  money={k: found.rates.money(getattr(found, k)) for k in ("mistake", "cost", "saving", "net")},
                  reduction=found.reduction, rows=rows_of(found.frame), notes=list(found.notes))  # fmt: skip
        ctx.exit(code)
    emit_table(
        ["run", "n_params", "tokens", "FLOP", "narrows by", "saves", "net", ""],
        [
            [str(r["run"]), human(r["n_params"]), human(r["tokens"]), human(r["flops"]), f"{r['reduction']:.1%}",
             human(r["saving"]), human(r["net"]), "chosen" if r["chosen"] else ""]
            for r in found.frame.to_dict(orient="records")
        ],
    )  # fmt: skip
    emit_text(str(found))
    ctx.exit(code)


def _read_candidates(path: str) -> Any:
    """The table of candidates, rows in its order; without names where the reader took the file's for all."""
    import bayeslaw

    frame = bayeslaw.load(path, need_loss=False).frame.sort_values("row")
    name = [] if len(frame) > 1 and set(frame["run"]) == {Path(path).stem} else ["run"]
    return frame[[c for c in (*name, "group", "n_params", "tokens", "flops", "recurrence") if c in frame]]
