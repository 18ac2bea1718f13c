"""Writes the logs in ``tests/readers/data`` with the real packages: ``python tests/readers/make_fixtures.py KIND OUT``.

Kinds: tensorboard (torch and tensorboardX), wandb, mlflow, trackio, lightning, transformers. Each needs its package;
the tests run this script where a package is installed, and read the committed files elsewhere. Names of hosts, users
and folders are kept out of the files. Every run follows ``loss(step)``, so that a test can check each point. The
committed files were written by torch 2.15.0, tensorboard 2.21.0, tensorboardX 2.6.5, wandb 0.31.0, mlflow 3.17.2,
trackio 0.43.0, lightning 2.6.6 and transformers 5.23.0; of the databases, the tables that matter are kept as SQL.
"""

import os
import re
import shutil
import sqlite3
import sys
from pathlib import Path

STEPS = 80


def loss(step: int) -> float:
    """The loss that every run logs, nats."""
    return 2.0 + 4.0 * (step + 1) ** -0.35


def lr(step: int) -> float:
    """The learning rate that every run logs."""
    return 1e-3 * min(1.0, step / 10)


def tensorboard(out: Path) -> None:
    """Two runs: ``resumed`` in two files that overlap (torch), ``tensors`` with scalars as tensors (tensorboardX)."""
    from tensorboardX import SummaryWriter as Other
    from torch.utils.tensorboard import SummaryWriter

    for first, last in ((1, 60), (51, STEPS)):
        writer = SummaryWriter(str(out / "resumed" / str(first)), purge_step=first if first > 1 else None)
        for step in range(first, last + 1):
            writer.add_scalar("train/loss", loss(step), step)
            writer.add_scalar("train/lr", lr(step), step, new_style=True)
            if step % 20 == 0:
                writer.add_scalar("eval/loss", loss(step) + 0.1, step)
                writer.add_text("notes", "text is no scalar", step)
        writer.close()
        for i, path in enumerate(sorted((out / "resumed" / str(first)).iterdir())):
            path.rename(out / "resumed" / f"events.out.tfevents.17000000{first:02d}.host.1.{i}")
        (out / "resumed" / str(first)).rmdir()
    with Other(str(out / "other")) as writer:
        for step in range(1, 21):
            writer.add_scalar("train/loss", loss(step), step)
    for path in (out / "other").iterdir():
        path.rename(path.with_name("events.out.tfevents.1700000000.host"))


def wandb(out: Path) -> None:
    """One offline run with a NaN, nested metrics, a histogram and evaluations in rows of their own."""
    import wandb as package

    settings = package.Settings(
        mode="offline", silent=True, console="off", host="host", username="user", program="train.py",
        x_disable_stats=True, x_disable_meta=True, x_disable_machine_info=True, x_save_requirements=False,
        disable_git=True, save_code=False, disable_code=True, disable_job_creation=True,
    )  # fmt: skip
    run = package.init(project="project", name="small-run", id="abc12345", dir=str(out), settings=settings)
    for step in range(1, STEPS + 1):
        value = float("nan") if step == 7 else loss(step)
        run.log({"train/loss": value, "train/global_step": step, "train": {"lr": lr(step)}})
        if step % 20 == 0:
            run.log({"eval/loss": loss(step) + 0.1, "train/global_step": step})
    run.log({"weights": package.Histogram([1.0, 2.0, 2.0]), "train/global_step": STEPS})
    run.finish()
    (log,) = out.rglob("*.wandb")
    folder = out / "offline-run-20240101_000000-abc12345"
    folder.mkdir()
    shutil.move(log, folder / log.name)
    shutil.rmtree(out / "wandb")


def mlflow(out: Path) -> None:
    """The same run in a file store and in an SQLite database, of which the two tables that matter are dumped."""
    os.environ |= {"MLFLOW_ALLOW_FILE_STORE": "true", "LOGNAME": "user", "USER": "user"}
    import mlflow as package

    for uri in (f"file://{out / 'mlruns'}", f"sqlite:///{out / 'mlflow.db'}"):
        package.set_tracking_uri(uri)
        with package.start_run(run_name="small-run"):
            for step in range(1, 31):
                package.log_metric("train/loss", float("nan") if step == 7 else loss(step), step=step)
                package.log_metric("lr", lr(step), step=step)
    for meta in out.rglob("meta.yaml"):
        text = re.sub(r"^(artifact_\w+|user_id|source_name): .*$", r"\1: ''", meta.read_text(), flags=re.M)
        meta.write_text(text)
    for tags in out.rglob("tags"):
        shutil.rmtree(tags)
    dump(out / "mlflow.db", out / "mlflow.sql", "runs", "metrics")


def trackio(out: Path) -> None:
    """One project with one run, of which the table that matters is dumped."""
    os.environ["TRACKIO_DIR"] = str(out)
    import trackio as package

    package.init(project="project", name="small-run", config={}, auto_log_gpu=False)
    for step in range(1, 31):
        package.log({"train/loss": float("nan") if step == 7 else loss(step), "lr": lr(step)}, step=step)
    package.finish()
    dump(out / "project.db", out / "trackio.sql", "metrics")


def lightning(out: Path) -> None:
    """``metrics.csv`` of a Trainer with a learning-rate monitor and a validation loop: sparse rows."""
    from lightning.pytorch.loggers import CSVLogger

    train_lightning(CSVLogger(str(out), name="", version="version_0"), out, steps=STEPS, every=2, decays=True)


def train_lightning(logger, out: Path, *, steps: int, every: int, decays: bool) -> None:
    """Train with Lightning's Trainer, every so many steps logged; ``decays``: the rate falls after 20 steps."""
    import lightning as package
    import torch
    from lightning.pytorch.callbacks import LearningRateMonitor

    class Model(package.LightningModule):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))

        def training_step(self, batch, _):
            self.log("train_loss", loss(self.global_step + 1))
            return (self.weight**2).sum()

        def validation_step(self, batch, _):
            self.log("val_loss", loss(self.global_step) + 0.1)

        def configure_optimizers(self):
            optimizer = torch.optim.AdamW(self.parameters(), lr=1e-3)
            if not decays:
                return optimizer
            schedule = torch.optim.lr_scheduler.StepLR(optimizer, 20)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    data = torch.utils.data.DataLoader(torch.zeros(40, 1))
    trainer = package.Trainer(
        max_steps=steps, logger=logger, log_every_n_steps=every, callbacks=[LearningRateMonitor("step")],
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False, accelerator="cpu",
        default_root_dir=str(out),
    )  # fmt: skip
    trainer.fit(Model(), data, data)


def transformers(out: Path) -> None:
    """``trainer_state.json`` of a Trainer whose loss is NaN at step 33, between two rows."""
    train_transformers(
        out / "output", nan_at=33, max_steps=STEPS, logging_steps=5, save_steps=STEPS, eval_steps=40, report_to=[]
    )
    state = out / "output" / f"checkpoint-{STEPS}" / "trainer_state.json"
    shutil.move(state, out / "trainer_state.json")
    shutil.rmtree(out / "output")


def train_transformers(output: Path, *, nan_at: int | None = None, **arguments) -> None:
    """Train with transformers' Trainer, whose loss is NaN at the step ``nan_at``."""
    import torch
    from transformers import Trainer, TrainingArguments

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))
            self.calls = 0

        def forward(self, x=None, labels=None):
            self.calls += self.training
            value = float("nan") if self.calls == nan_at and self.training else loss(self.calls)
            return {"loss": self.weight.sum() * 0 + value}

    settings = TrainingArguments(
        str(output), eval_strategy="steps", per_device_train_batch_size=1, use_cpu=True, disable_tqdm=True,
        learning_rate=1e-3, **arguments,
    )  # fmt: skip
    data = [{"x": torch.zeros(1), "labels": torch.zeros(1)} for _ in range(40)]
    Trainer(Model(), settings, train_dataset=data, eval_dataset=data[:2]).train()


def dump(database: Path, out: Path, *tables: str) -> None:
    """The named tables of a database as SQL text."""
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        lines = []
        for table in tables:
            (schema,) = connection.execute("SELECT sql FROM sqlite_master WHERE name=?", (table,)).fetchone()
            lines.append(schema + ";")
            for row in connection.execute(f'SELECT * FROM "{table}"'):
                cells = [cell.decode() if isinstance(cell, bytes) else cell for cell in row]
                lines.append(f'INSERT INTO "{table}" VALUES ({", ".join(map(quoted, cells))});')
    text = "\n".join(lines) + "\n"
    out.write_text(re.sub(r"'[^']*/mlruns[^']*'", "''", text))  # where artifacts would be


def quoted(cell: object) -> str:
    """A cell as SQL."""
    return "NULL" if cell is None else repr(cell) if isinstance(cell, (int, float)) else "'" + str(cell) + "'"


if __name__ == "__main__":
    kind, target = sys.argv[1], Path(sys.argv[2])
    target.mkdir(parents=True, exist_ok=True)
    {f.__name__: f for f in (tensorboard, wandb, mlflow, trackio, lightning, transformers)}[kind](target.resolve())
