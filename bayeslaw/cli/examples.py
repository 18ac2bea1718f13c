"""Examples at the end of each command's help: what people type, to be read before a page of options."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[str, ...]] = {
    "load": (
        "load runs.csv --explain",
        "load wandb/offline-run-20240101_000000-abc12345",
        "load log.csv --column loss=my_loss --batch-tokens 4M",
    ),
    "fit": (
        "fit runs.csv -m chinchilla -o fit.nc",
        "fit curves.csv -m multi-power --where \"split == 'fit'\" -o fit.nc",
    ),
    "check": ("check fit.nc", "check fit.nc --json"),
    "forecast": (
        "forecast wandb_export.csv --batch-tokens 4M --to 2T",
        "forecast run.jsonl --to-step 50000 --save run.nc",
        "forecast run.jsonl --schedule wsd:decay=0.2",
        "forecast fit.nc --to 2T --plot band.svg",
        "forecast fit.nc --at future.csv --given so_far.csv -o band.csv",
    ),
    "plan": (
        "plan fit.nc --flops 1e22",
        'plan fit.nc --budget "2000 H100-hours" --plot plan.png',
        "plan fit.nc --target-loss 2.0 --gpu h100 --devices 64",
    ),
    "next-runs": ("next-runs fit.nc --flops 1e24 --candidates runs.csv",),
    "anomalies": ("anomalies runs.csv --plot events.png", "anomalies runs.csv --run 7b --json"),
    "watch": ("watch run.jsonl", "watch run.jsonl --siblings others.csv"),
    "backtest": (
        "backtest runs.csv -m chinchilla -o fit.backtest.json",
        "backtest runs.csv --by origin --origins 30,70 --plot held.png",
    ),
    "compare": ("compare runs.csv", "compare runs.csv -m chinchilla -m chinchilla-interaction"),
    "report": (
        "report fit.nc --runs runs.csv -o report.html",
        'report run.nc --runs run.jsonl --to 2T --title "7B, second attempt"',
        'report fit.nc --budget "2000 H100-hours"',
    ),
    "models": ("models", "models chinchilla"),
    "laws": ("laws", "laws multi-power"),
    "demo": ("demo",),
}


def epilog(command: str) -> str:
    """The examples of a command, as click prints them: line by line."""
    lines = "\n".join(f"  bayeslaw {example}" for example in EXAMPLES[command])
    return f"\b\n{'Example' if len(EXAMPLES[command]) == 1 else 'Examples'}:\n{lines}"
