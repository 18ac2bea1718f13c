"""The set ``lr-schedules`` from its authors' own files: which they are, and how they become the table.

One JSON file a run, as W&B's history was exported (https://github.com/fabian-sp/lr-scheduling, MIT). The table is right
when its SHA-256 is that of the table that bayeslaw's figures were made with: nothing else has to be trusted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bayeslaw.errors import FileError

ADDRESS = "https://raw.githubusercontent.com/fabian-sp/lr-scheduling/d8c859884119938d288ddce74b2f9e80b92dca37/data"
_NAME = "openwebtext2_llama_norm_{}_sched_{}_warmup300_iter{}_bs50x2_ws2_seed0_data_seed1337.json"
_SMALL, _MIDDLE, _LARGE = "nlayers10_nhead8_lr0.00{}", "nlayers12_nhead10_lr0.00{}", "nlayers12_nhead14_lr0.0005"
_TAILS = ((_SMALL, 12500, "60M", 0), (_SMALL, 17500, "60M", 1), (_SMALL, 7500, "60M", 2),
          (_MIDDLE, 10000, "93M", 3), (_MIDDLE, 17500, "93M", 4), (_MIDDLE, 25000, "93M", 5),
          (_LARGE, 15000, "166M", 6), (_LARGE, 25000, "166M", 7), (_LARGE, 30000, "166M", 8))  # fmt: skip
_WHOLE = ((_SMALL, 1, "wsd", 17500, "60M", 186), (_SMALL, 2, "cos", 12500, "60M", 187),
          (_SMALL, 2, "cos", 17500, "60M", 188), (_SMALL, 2, "cos", 7500, "60M", 189),
          (_MIDDLE, 1, "wsd", 25000, "93M", 190), (_MIDDLE, 2, "cos", 10000, "93M", 191),
          (_MIDDLE, 2, "cos", 17500, "93M", 192), (_MIDDLE, 2, "cos", 25000, "93M", 193))  # fmt: skip
#: file → name of its run in the table, in the table's order
FILES: dict[str, str] = {
    "ann0.2_" + _NAME.format(size.format(1), "wsd", steps): f"{label}/wsd/{steps}/{k}"
    for size, steps, label, k in _TAILS
} | {_NAME.format(size.format(rate), kind, steps): f"{label}/{kind}/{steps}/{k}"
     for size, rate, kind, steps, label, k in _WHOLE}  # fmt: skip
HEAD = "run,n_params,schedule,peak_lr,total_steps,wsd_fract_decay,resumed,step,tokens,lr,loss"


def table(files: Mapping[str, bytes]) -> bytes:
    """The table as CSV, numbers to eight digits, from the files' contents by name (all of ``FILES``).

    Rates as logged; a constant run logs a rate of 0 at its last step, which it did not train at, and that row is left
    out. FileError names a file that is not such a history.
    """
    lines = [HEAD]
    for name, run in FILES.items():
        try:
            lines += _rows(run, json.loads(files[name]))
        except (ValueError, KeyError, TypeError) as error:
            raise FileError(f"{name} is not a run's history as its authors published it: {error!r}.") from None
    return ("\n".join(lines) + "\n").encode()


def _rows(run: str, file: Mapping[str, Any]) -> list[str]:
    config, history = file["config"], file["history"]["train"]
    batch = config["batch_size"] * config["acc_steps"] * config["world_size"] * config["sequence_length"]
    decay = config["wsd_fract_decay"]
    head = (
        f"{run},{file['summary']['parameters']},{config['scheduler']},{config['lr']:g},{config['iterations']},{decay:g}"
    )
    head += f",{config['resume_from'] is not None}"
    constant = config["scheduler"] == "wsd" and decay == 0
    return [
        f"{head},{step},{step * batch},{lr:.8g},{loss:.8g}"
        for step, lr, loss in zip(history["iter"], history["train_lr"], history["train_loss"], strict=True)
        if not (constant and lr == 0)
    ]
