"""Trainings of a model of one parameter that a callback records: ``python trainings.py KIND``, into ``x.jsonl``.

Kinds: ``transformers`` and ``lightning`` (which accumulates two batches a step), ``broken-...`` whose recorder raises,
``manual`` (Lightning, optimized by hand, its loss tensor changed in place). The loss is the weight's square and 2, so
3 before the first step. Prints how many steps were trained.
"""

import logging
import sys

import torch

from bayeslaw.live import Recorder, lightning_callback, transformers_callback

STEPS = 20


class Broken(Recorder):
    """A recorder with a mistake in it."""

    def __call__(self, **row):
        raise RuntimeError("out of order")

    def flush(self, timeout=30.0):
        raise RuntimeError("out of order")


def transformers(callback):
    """Two steps a row."""
    from transformers import Trainer, TrainingArguments

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))

        def forward(self, x=None, labels=None):
            return {"loss": (self.weight**2).sum() + 2}

    arguments = TrainingArguments(
        "out", max_steps=STEPS, logging_steps=2, report_to=[], use_cpu=True, disable_tqdm=True, learning_rate=1e-2,
        per_device_train_batch_size=1, save_strategy="no", gradient_accumulation_steps=2,
    )  # fmt: skip
    data = [{"x": torch.zeros(1), "labels": torch.zeros(1)} for _ in range(80)]
    trainer = Trainer(Model(), arguments, train_dataset=data, callbacks=[callback])
    trainer.train()
    return trainer.state.global_step


def lightning(callback, *, manual=False):
    """A row a step, and one after the validation; an odd batch at the epoch's end is a step by itself."""
    import lightning as package

    class Model(package.LightningModule):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))
            self.automatic_optimization = not manual

        def training_step(self, batch, _):
            loss = (self.weight**2).sum() + 2
            if manual:
                optimizer = self.optimizers()
                optimizer.zero_grad()
                self.manual_backward(loss)
                optimizer.step()
                self.shown = getattr(self, "shown", torch.zeros(()))
                return self.shown.copy_(loss.detach())
            return loss

        def validation_step(self, batch, _):
            self.log("val_loss", (self.weight**2).sum() + 2.1)

        def configure_optimizers(self):
            return torch.optim.AdamW(self.parameters(), lr=1e-2)

    data = torch.utils.data.DataLoader(torch.zeros(31, 1))
    accumulate = {} if manual else {"accumulate_grad_batches": 2}
    trainer = package.Trainer(
        max_steps=STEPS, logger=False, enable_progress_bar=False, enable_model_summary=False, accelerator="cpu",
        enable_checkpointing=False, callbacks=[callback], **accumulate,
    )  # fmt: skip
    trainer.fit(Model(), data, data)
    return trainer.global_step


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    name = sys.argv[1].removeprefix("broken-")
    make = transformers_callback if name == "transformers" else lightning_callback
    callback = make("x.jsonl", n_params=1e6)
    if name != sys.argv[1]:
        callback.recorder = Broken("x.jsonl")
    trained = transformers(callback) if name == "transformers" else lightning(callback, manual=name == "manual")
    print(f"{trained} steps")
