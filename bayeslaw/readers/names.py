"""Which of a log's many metrics bayeslaw has a use for: the trainers' names of ``data.columns``, and what warns."""

from __future__ import annotations

import re
from functools import cache

from bayeslaw.data.aliases import ALIASES, CROSS_ENTROPY, EVAL_LOSS, LAST_RESORT
from bayeslaw.data.columns import CANONICAL, GATE

#: losses that trainers add to the cross-entropy: z-loss, router and balancing losses of mixtures of experts, losses of
#: further tokens (MTP) and of an attention's indexer
AUXILIARY = re.compile(
    r"(^|[/_ .-])(z[_ -]?loss|aux(iliary)?[_ -]?loss|(load[_ -]?)?balanc\w*[_ -]?loss|lb[_ -]?loss|moe[_ -]?loss"
    r"|mtp(_\d+)?[_ -]?loss|indexer[_ -]?loss)"
    r"($|[/_ .-])",
    re.I,
)
BATCH = re.compile(
    r"(^|[/_ ])(global[_ -]?(train[_ -]?)?batch[_ -]?size|batch[_ -]?size|total_weights|tokens[_ -]per[_ -]step)$", re.I
)


@cache
def _known() -> frozenset[str]:
    names = {*CANONICAL}
    for tier in (ALIASES, LAST_RESORT):
        names |= {alias for aliases in tier.values() for alias, _ in aliases}
    names |= {alias for alias, _ in (*CROSS_ENTROPY, *EVAL_LOSS)}
    return frozenset(n if len(n) == 1 else n.lower() for n in names)


@cache
def is_known(name: str) -> bool:
    """Whether a metric's name is one that bayeslaw reads: canonical, an alias, a gate, or one that warns of a trap."""
    key = str(name).strip()
    key = key if len(key) == 1 else key.lower()
    if key in _known() or GATE.fullmatch(key):
        return True
    return AUXILIARY.search(key) is not None or BATCH.search(key) is not None
