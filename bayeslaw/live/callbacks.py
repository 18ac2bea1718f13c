"""Callbacks that record the losses of transformers' Trainer and of Lightning, imported only when asked for."""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Callable
from typing import Any

from bayeslaw.errors import BayeslawError
from bayeslaw.live.recorder import Recorder


def transformers_callback(path: str | os.PathLike[str], **settings: Any) -> Any:
    """A ``TrainerCallback`` that records what the Trainer logs: ``Trainer(..., callbacks=[transformers_callback(p)])``.

    Parameters
    ----------
    path, settings : as for ``Recorder``.

    Raises
    ------
    BayeslawError
        transformers is not installed.

    Losses are what the Trainer logs: means over its ``logging_steps``, in nats per token. Set ``logging_steps=1`` and
    ``logging_nan_inf_filter=False`` to see single steps and NaN as they are.
    """
    base = _package("transformers", "transformers").TrainerCallback

    class RecorderCallback(base):
        """Writes each of the Trainer's log rows."""

        def __init__(self) -> None:
            self.recorder = Recorder(path, **{"enabled": True, **settings})

        @harmless
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if not logs or not state.is_world_process_zero:
                return
            row = {name: value for name, value in logs.items() if isinstance(value, (int, float))}
            if getattr(state, "num_input_tokens_seen", 0):
                row.setdefault("num_input_tokens_seen", state.num_input_tokens_seen)
            self.recorder(**{"step": state.global_step, **row})

        @harmless
        def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.recorder.flush()

    return RecorderCallback()


def lightning_callback(path: str | os.PathLike[str], **settings: Any) -> Any:
    """A Lightning ``Callback`` that records the loss of every optimizer step: ``Trainer(callbacks=[...])``.

    Parameters
    ----------
    path, settings : as for ``Recorder``.

    Raises
    ------
    BayeslawError
        Neither lightning nor pytorch_lightning is installed.

    The loss of a step is the mean over its micro-batches on the process of rank 0, the learning rate that of the
    first parameter group; validation metrics whose name has "loss" in it are written after each validation.
    """
    base = _package("Lightning", "lightning.pytorch", "pytorch_lightning").Callback

    class RecorderCallback(base):
        """Writes each optimizer step's loss."""

        def __init__(self) -> None:
            self.recorder = Recorder(path, **{"enabled": True, **settings})
            self._losses: list[Any] = []
            self._step = 0

        @harmless
        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            self._step = trainer.global_step  # of a resumed run, where it resumes

        @harmless
        def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, *_: Any, **__: Any) -> None:
            if not trainer.is_global_zero:
                return
            loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
            if loss is not None:
                self._losses.append(loss.detach())
            if trainer.global_step == self._step or not self._losses:
                return
            self._step = trainer.global_step
            losses, self._losses = self._losses, []
            rate = trainer.optimizers[0].param_groups[0]["lr"] if trainer.optimizers else None
            self.recorder(step=self._step, loss=sum(losses[1:], losses[0]) / len(losses), lr=rate)

        @harmless
        def on_validation_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
            if trainer.sanity_checking or not trainer.is_global_zero:
                return
            found = {k: v for k, v in trainer.callback_metrics.items() if "loss" in k and not k.startswith("train")}
            if found:
                self.recorder(**{"step": trainer.global_step, **found})

        @harmless
        def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
            self.recorder.flush()

    return RecorderCallback()


def harmless(hook: Callable[..., None]) -> Callable[..., None]:
    """A hook that says once what went wrong and never raises."""

    @functools.wraps(hook)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            hook(self, *args, **kwargs)
        except Exception as error:
            self.recorder._tell(hook.__name__, f"{hook.__name__} failed ({error!r}).")

    return wrapper


def _package(name: str, *modules: str) -> Any:
    for module in modules:
        try:
            return importlib.import_module(module)
        except ImportError:
            continue
    raise BayeslawError(f"{name} is not installed here, so there is no trainer to record. Use bayeslaw.live.Recorder.")
