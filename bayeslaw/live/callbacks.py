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

    The loss of a step is the mean over its micro-batches on the process of rank 0, as ``training_step`` returns it
    (Lightning divides it by ``accumulate_grad_batches``, which is undone here); the learning rate is that of the first
    parameter group; validation metrics whose name has "loss" in it are written after each validation.
    """
    base = _package("Lightning", "lightning.pytorch", "pytorch_lightning").Callback

    class RecorderCallback(base):
        """Writes each optimizer step's loss."""

        def __init__(self) -> None:
            self.recorder = Recorder(path, **{"enabled": True, **settings})
            self._losses: list[Any] = []
            self._step = 0
            self._writes = self._automatic = False
            self._optimizer: Any = None

        @harmless
        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            """Asks what stays the same once, since each question costs a step microseconds."""
            self._step = trainer.global_step  # of a resumed run, where it resumes
            self._writes = trainer.is_global_zero
            self._automatic = pl_module.automatic_optimization
            self._optimizer = trainer.optimizers[0] if trainer.optimizers else None

        @harmless
        def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, *_: Any, **__: Any) -> None:
            if not self._writes:
                return
            loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
            if loss is not None:  # Lightning's own copy, without a graph, unless the user optimizes by hand
                self._losses.append(loss if self._automatic else loss.detach().clone())
            step = trainer.global_step
            if step == self._step or not self._losses:
                return
            self._step, losses, self._losses = step, self._losses, []
            rate = None if self._optimizer is None else self._optimizer.param_groups[0]["lr"]
            scale = trainer.accumulate_grad_batches if self._automatic else 1
            self.recorder(step=step, loss=Mean(losses, scale), lr=rate)

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


class Mean:
    """A factor times the mean of tensors, taken when it is read: in the recorder's thread, which may wait for them."""

    def __init__(self, tensors: list[Any], factor: float):
        self.tensors, self.factor = tensors, factor

    def __float__(self) -> float:
        return self.factor * sum(map(float, self.tensors)) / len(self.tensors)


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
