"""What the trainers call things: the names that are understood for each canonical column, and whose they are.

The names were read in the trainers' own code. To teach bayeslaw another trainer, add ``(alias, trainer)`` to the
canonical column's tuple.
"""

from __future__ import annotations

ALIASES: dict[str, tuple[tuple[str, str], ...]] = {
    "run": (("run_name", "W&B, Trackio"), ("run name", "W&B"), ("experiment", "MLflow")),
    "group": (("corpus", "tables"), ("family", "tables")),
    "step": (
        ("train/global_step", "HF Trainer through W&B"),
        ("trainer/global_step", "Lightning through W&B"),
        ("global_step", "Levanter"),
        ("iteration", "Megatron, nanotron"),
        ("time/batch", "Composer, LLM Foundry"),
        ("steps", "tables"),
        ("iter", "nanoGPT"),
    ),
    "tokens": (
        ("num_input_tokens_seen", "HF Trainer"),
        ("train/num_input_tokens_seen", "HF Trainer through W&B"),
        ("n_tokens_seen", "torchtitan"),
        ("throughput/total_tokens", "OLMo, Levanter"),
        ("throughput/total tokens", "OLMo-core"),
        ("consumed_tokens", "nanotron"),
        ("consumed tokens", "Megatron-DeepSpeed"),
        ("time/token", "Composer, LLM Foundry"),
        ("tokens_seen", "tables"),
        ("train_tokens", "tables"),
        ("n_tokens", "tables"),
        ("num_tokens", "tables"),
        ("total_tokens", "tables"),
        ("D", "scaling-law tables"),
    ),
    "n_params": (
        ("params", "tables"),
        ("num_params", "tables"),
        ("parameters", "tables"),
        ("num_parameters", "tables"),
        ("n_parameters", "tables"),
        ("parameter_count", "Levanter"),
        ("N", "scaling-law tables"),
    ),
    "recurrence": (("num_recurrence", "looped models"), ("n_loops", "looped models"), ("num_loops", "looped models")),
    "loss": (
        ("train/loss", "HF Trainer through W&B, Levanter"),
        ("train_loss", "nanoGPT, Lightning"),
        ("train_loss_step", "Lightning"),
        ("loss_metrics/global_avg_loss", "torchtitan"),
        ("lm_loss", "nanotron, GPT-NeoX"),
        ("train/lm_loss", "GPT-NeoX through W&B"),
        ("lm loss", "Megatron"),
        ("lm-loss", "Megatron"),
        ("reduced_train_loss", "NeMo"),
        ("loss/train/total", "Composer, LLM Foundry"),
        ("learning/loss", "MaxText"),
        ("training_loss", "tables"),
        ("training loss", "tables"),
        ("final_loss", "tables"),
    ),
    "lr": (
        ("learning_rate", "HF Trainer"),
        ("train/learning_rate", "HF Trainer and GPT-NeoX through W&B"),
        ("train/lr", "nanoGPT kin"),
        ("optim/learning_rate_group0", "OLMo"),
        ("optim/LR (group 0)", "OLMo-core"),
        ("optim/learning_rate", "Levanter"),
        ("learning-rate", "Megatron"),
        ("learning rate", "Megatron"),
        ("learning/current_learning_rate", "MaxText"),
    ),
    "grad_norm": (
        ("train/grad_norm", "HF Trainer through W&B"),
        ("optim/total_grad_norm", "OLMo"),
        ("optim/total grad norm", "OLMo-core"),
        ("grad/norm/total", "Levanter"),
        ("grad-norm", "Megatron"),
        ("grad norm", "Megatron"),
        ("l2_norm/grad/global", "Composer, LLM Foundry"),
        ("learning/grad_norm", "MaxText"),
    ),
    "flops": (("total_flos", "HF Trainer"), ("train_flops", "tables"), ("C", "scaling-law tables")),
}

#: taken before the names above, which may hold auxiliary losses (z-loss, balance, further tokens)
CROSS_ENTROPY: tuple[tuple[str, str], ...] = (
    ("train/CrossEntropyLoss", "OLMo"),
    ("train/CE loss", "OLMo-core"),
    ("train/cross_entropy_loss", "Marin"),
    ("metrics/train/LanguageCrossEntropy", "Composer, LLM Foundry"),
    ("learning/lm_loss", "MaxText"),
    ("train/ce_loss", "tables"),
)

#: taken for ``loss`` only when no train loss is there, and then said
EVAL_LOSS: tuple[tuple[str, str], ...] = (
    ("eval_loss", "HF Trainer"),
    ("eval/loss", "HF Trainer through W&B, Levanter"),
    ("eval/avg_loss", "MaxText"),
    ("validation_metrics/loss", "torchtitan"),
    ("validation/lm_loss", "GPT-NeoX through W&B"),
    ("val_loss", "nanoGPT, Lightning"),
    ("val/loss", "nanoGPT kin"),
    ("valid_loss", "fairseq"),
    ("validation_loss", "tables"),
    ("validation loss", "tables"),
    ("metrics/eval/LanguageCrossEntropy", "Composer, LLM Foundry"),
    ("test_loss", "tables"),
)

#: taken only when nothing better is there: every W&B table has ``_step``, which counts calls of ``log``
LAST_RESORT: dict[str, tuple[tuple[str, str], ...]] = {
    "run": (("run_id", "W&B, Trackio"),),
    "step": (("_step", "W&B"),),
    "loss": (("lm loss validation", "Megatron"),),
    "lr": (
        ("lr-DecoupledAdamW/group0", "Composer"),
        ("lr-DecoupledLionW/group0", "Composer"),
        ("lr-AdamW", "Lightning's LearningRateMonitor"),
        ("lr-AdamW/pg1", "Lightning's LearningRateMonitor"),
        ("lr-Adam", "Lightning's LearningRateMonitor"),
    ),
}
