"""How trainers print their losses: one pattern per family, from the trainer's code or lines of it, as its comment says.

To teach bayeslaw another trainer's log, add a ``Family``: ``line`` must match where a row begins and nowhere else,
and its named groups become columns (``rest`` is searched for ``pairs``, key and value, each a column too).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_DIGITS = r"[-+]?(?:\d[\d,_]*(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?"
_NONE = r"[-+]?(?:nan|inf(?:inity)?)"
NUMBER = f"{_DIGITS}|{_NONE}"
N = rf"(?:{NUMBER})(?![\w.])"


@dataclass(frozen=True)
class Family:
    """One way of printing.

    ``begins``: text that a matching line holds, looked for first because that is fast. ``line``: the row's pattern.
    ``pairs``: how ``rest`` of the line holds further values. ``rename``: printed name to column. ``block``: further
    values stand in the lines that follow, one each. ``means``: the printed loss is the mean over the steps since the
    last line, as the trainer's code has it.
    """

    name: str
    begins: str
    line: re.Pattern[str]
    pairs: re.Pattern[str] | None = None
    rename: Mapping[str, str] = field(default_factory=dict)
    block: re.Pattern[str] | None = None
    means: bool = False


# Keys are of bounded length and blanks are single, so that no line can take long.
_BARS = re.compile(
    rf"(?:^|\|) ?(?P<key>[A-Za-z_][^:|]{{0,60}}?)(?: ?: ?| )(?P<value>{_DIGITS}[KMBTG]?(?![\w.])|{_NONE}(?= ?\||$))",
    re.I,
)
_COLONS = re.compile(rf"\b(?P<key>[A-Za-z_][\w/.-]{{0,60}}):\s*(?P<value>{NUMBER})(?![\w.,]\d)", re.I)
_COMMAS = re.compile(rf"(?:^|, ?| )(?P<key>[A-Za-z_][\w/.-]{{0,60}}): (?P<value>{NUMBER})(?=,|\s|$)", re.I)
_COMPOSER = re.compile(rf"^\s+(?:Train|Eval)\s+(?P<key>[A-Za-z][\w /()-]*):\s+(?P<value>{NUMBER})\s*$", re.I)

FAMILIES: tuple[Family, ...] = (
    # NVIDIA/Megatron-LM megatron/training/training.py, evaluate_and_print_results: its prefix is "iteration N ...".
    # EleutherAI/gpt-neox megatron/training.py says "results" and lm_loss
    Family(
        "Megatron, GPT-NeoX, validation",
        " at iteration ",
        re.compile(
            rf"validation (?:loss|results) at iteration (?P<iteration>\d+)(?P<rest>.*?lm[ _]loss value:\s*{N}.*)"
        ),
        re.compile(rf"(?P<key>lm[ _]loss) value:\s*(?P<value>{NUMBER})", re.I),
        {"lm loss": "lm loss validation", "lm_loss": "lm loss validation"},
    ),
    # NVIDIA/NeMo nemo/lightning/pytorch/callbacks/progress_printer.py: the iteration is that of the epoch, and its
    # total; the trainer's own step is one of the metrics
    Family(
        "NeMo",
        "iteration ",
        re.compile(r"\bepoch \d+, iteration (?P<iteration>\d+)/\d+ (?P<rest>\|.*)"),
        _BARS,
        {"global_step": "step"},
        means=True,
    ),
    # huggingface/nanotron src/nanotron/trainer.py and logging/base.py: numbers of three significant digits
    Family(
        "nanotron",
        "iteration: ",
        re.compile(r"\biteration: (?P<iteration>[\d,]+) / [\d,]+ (?P<rest>\|.*)"),
        _BARS,
    ),
    # NVIDIA/Megatron-LM training.py, training_log; EleutherAI/gpt-neox megatron/logging.py (samples/sec first); older
    # forks have no colon after a key
    Family(
        "Megatron, GPT-NeoX",
        "iteration",
        re.compile(r"\biteration:?\s+(?P<iteration>[\d,]+)\s*/\s*[\d,]+\s*(?P<rest>\|.*)"),
        _BARS,
        {"consumed tokens": "consumed_tokens"},
        means=True,
    ),
    # Lightning-AI/litgpt pretrain.py
    Family(
        "litgpt",
        "loss train:",
        re.compile(
            rf"\biter (?P<micro_step>\d+)\s*\|?\s*step:? (?P<step>\d+)\s*[|:]\s*loss train: (?P<train_loss>{N})"
            rf"(?:,\s*val: (?:n/a|(?P<val_loss>{N})))?"
        ),
    ),
    # karpathy/llm.c train_gpt2.cu; nanochat scripts/base_train.py, whose loss is an average that forgets
    Family(
        "llm.c, nanochat",
        "step",
        re.compile(r"\bstep:?\s+(?P<step>\d+)(?:/\d+)?\s*(?:\([^)]*\))?\s*(?P<rest>\|.*\bloss\b.*)"),
        _BARS,
        {"norm": "grad_norm", "grad norm": "grad_norm"},
    ),
    # AI-Hypercomputer/maxtext src/maxtext/common/metric_logger.py: "loss" is the total, "lm_loss" (newer versions) the
    # cross-entropy; the names in its TensorBoard logs are given to both. Before torchtitan, whose pattern fits as well
    Family(
        "MaxText",
        "completed ",
        re.compile(
            rf"completed (?:profiler activation/deactivation )?step:\s*(?P<step>\d+),(?P<rest>.*\bloss:\s*{N}.*)"
        ),
        _COMMAS,
        {"loss": "learning/loss", "lm_loss": "learning/lm_loss"},
    ),
    # pytorch/torchtitan components/metrics.py
    Family(
        "torchtitan, validation",
        "validate step:",
        re.compile(rf"validate step:\s*(?P<step>[\d,]+)\s+loss:\s*(?P<eval_loss>{N})"),
    ),
    Family(
        "torchtitan",
        "step:",
        re.compile(rf"\bstep:\s+(?P<step>[\d,]+)\s+(?P<rest>.*?\bloss:\s*{N}.*)"),
        _COLONS,
        {"gnorm": "grad_norm", "token": "tokens"},
    ),
    # KellerJordan/modded-nanogpt train_gpt.py
    Family(
        "modded-nanogpt",
        "step:",
        re.compile(rf"\bstep:(?P<step>\d+)/\d+\s+(?P<rest>.*?(?:train|val)_loss:{N}.*)"),
        _COLONS,
    ),
    # karpathy/nanoGPT train.py
    Family("nanoGPT", "iter ", re.compile(rf"\biter (?P<iter>\d+): loss (?P<train_loss>{N})")),
    Family(
        "nanoGPT, validation",
        "step ",
        re.compile(rf"\bstep (?P<iter>\d+): train loss (?P<evaluated_train_loss>{N}), val loss (?P<val_loss>{N})"),
    ),
    # the same file, _log_eval_metrics, in older versions and in newer ones
    Family(
        "MaxText, validation",
        "loss=",
        re.compile(rf"eval (?:metrics after step: |after train step )(?P<step>\d+), loss=(?P<eval_loss>{N})"),
    ),
    # deepspeedai/DeepSpeed deepspeed/runtime/pipe/engine.py, train_batch
    Family(
        "DeepSpeed's pipeline",
        "steps: ",
        re.compile(rf"\bsteps: (?P<step>\d+),? loss: (?P<loss>{N}) (?:\S+: \S+ )*iter time \(s\):"),
    ),
    # karpathy/llm.c llmc/logger.h, the file main.log: trl and tel are train and test loss
    Family("llm.c, main.log", "s:", re.compile(rf"^s:(?P<step>\d+) trl:(?P<train_loss>{N})(?P<rest>.*)"), _COLONS),
    Family("llm.c, main.log, test", "s:", re.compile(rf"^s:(?P<step>\d+) tel:(?P<val_loss>{N})")),
    # allenai/OLMo olmo/train.py, log_metrics_to_console, and OLMo-core callbacks/console_logger.py
    Family(
        "OLMo",
        "[step=",
        re.compile(r"\[step=(?P<step>[\d,]+)/[^\]]*\]"),
        block=re.compile(rf"^\s+(?P<key>[A-Za-z][\w /()-]*)=(?P<value>{NUMBER})\s*$", re.I),
    ),
    # mosaicml/composer loggers/console_logger.py: the bracket counts in the unit of max_duration, batches of the epoch
    # where that is epochs, and has no total where the loader has none; steps are "time/batch" in the lines that follow
    Family(
        "Composer",
        "[batch=",
        re.compile(r"\[batch=(?P<batch>[\d,]+)(?:/[^\]]*)?\]:?"),
        block=_COMPOSER,
        rename={"batch": "batch (printed)"},
    ),
    Family("Composer, by tokens", "[token=", re.compile(r"\[token=[\d,]+/[^\]]*\]:?"), block=_COMPOSER),
    Family("Composer, by samples", "[sample=", re.compile(r"\[sample=[\d,]+/[^\]]*\]:?"), block=_COMPOSER),
)
