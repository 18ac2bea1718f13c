"""Logs that trackers write for a trainer, and long ones: ``python tests/readers/make_tracked.py SOURCE TRACKER OUT``.

Sources: ``loop`` logs 20,000 steps one by one, resumed half-way so that 2,000 steps are written twice, with a NaN at
step 777 and an infinity at step 888; ``transformers`` and ``lightning`` train something tiny and log it there.
Nothing here is committed: tests run it where the packages are installed. Losses follow ``make_fixtures.loss``.
"""

import os
import sys
from pathlib import Path

from make_fixtures import loss, train_lightning, train_transformers

LAST = 20_000
PARTS = ((1, 12_000), (10_001, LAST))


def value(step: int) -> float:
    """The loss that the loop logs."""
    return {777: float("nan"), 888: float("inf")}.get(step, loss(step))


def wandb_loop(out: Path) -> None:
    """Two offline parts of one run, with a text of more than one block in its config."""
    import wandb

    settings = wandb.Settings(mode="offline", silent=True, console="off", x_disable_stats=True, disable_git=True)
    for first, last in PARTS:
        with wandb.init(dir=str(out), name="long", id="long1", settings=settings, config={"text": "x" * 50_000}) as run:
            for step in range(first, last + 1):
                run.log({"train/loss": value(step), "train/global_step": step, "note": "text is no number"})


def tensorboard_loop(out: Path) -> None:
    """Two event files in one folder, histograms among the scalars."""
    import numpy as np
    from tensorboardX import SummaryWriter

    for part, (first, last) in enumerate(PARTS):
        with SummaryWriter(str(out / "long"), filename_suffix=f".{part}") as writer:
            for step in range(first, last + 1):
                writer.add_scalar("train/loss", value(step), step)
                if step % 1000 == 0:
                    writer.add_histogram("weights", np.arange(1000), step)
        for path in (out / "long").iterdir():
            if path.suffix == f".{part}":
                path.rename(out / "long" / f"events.out.tfevents.170000000{part}.host")


def mlflow_loop(out: Path) -> None:
    """The database; batches of metrics, the second part by a client that resumes the run."""
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    client = MlflowClient(f"sqlite:///{out / 'mlflow.db'}")
    run = client.create_run(client.create_experiment("long"), run_name="long").info.run_id
    for part, (first, last) in enumerate(PARTS):
        for start in range(first, last + 1, 500):
            steps = range(start, start + 500)
            client.log_batch(run, [Metric("train/loss", value(s), 10**12 * (part + 1) + s, s) for s in steps])


def trackio_loop(out: Path) -> None:
    """One run, resumed by its name."""
    os.environ["TRACKIO_DIR"] = str(out)
    import trackio

    for first, last in PARTS:
        trackio.init(project="long", name="long", resume="allow", auto_log_gpu=False)
        for step in range(first, last + 1):
            trackio.log({"train/loss": value(step)}, step=step)
        trackio.finish()


def transformers(tracker: str, out: Path) -> None:
    """60 steps of a Trainer, every one logged, that reports to the tracker."""
    os.environ |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "TRACKIO_DIR": str(out), "WANDB_DIR": str(out)}
    os.environ |= {"MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_TRACKING_URI": f"file://{out / 'mlruns'}"}
    os.environ |= {"TENSORBOARD_LOGGING_DIR": str(out / "board")}
    train_transformers(
        out / "output", run_name="tracked", max_steps=60, logging_steps=1, save_strategy="no", eval_steps=20,
        report_to=[tracker],
    )  # fmt: skip


def lightning(tracker: str, out: Path) -> None:
    """60 steps of a Trainer with a learning-rate monitor and a logger of the tracker's."""
    os.environ |= {"WANDB_SILENT": "true", "MLFLOW_ALLOW_FILE_STORE": "true"}
    from lightning.pytorch import loggers

    logger = {
        "wandb": lambda: loggers.WandbLogger(name="tracked", offline=True, save_dir=str(out)),
        "tensorboard": lambda: loggers.TensorBoardLogger(str(out), name="board", version="tracked"),
        "mlflow": lambda: loggers.MLFlowLogger(tracking_uri=f"file://{out / 'mlruns'}", run_name="tracked"),
    }[tracker]()
    train_lightning(logger, out, steps=60, every=1, decays=False)


if __name__ == "__main__":
    source, name, target = sys.argv[1], sys.argv[2], Path(sys.argv[3]).resolve()
    target.mkdir(parents=True, exist_ok=True)
    os.chdir(target)
    if source == "loop":
        globals()[f"{name}_loop"](target)
    else:
        {"transformers": transformers, "lightning": lightning}[source](name, target)
