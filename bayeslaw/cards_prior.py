"""What a card says of one quantity: a prior, the reason for it, and for a symbol of the law what it is pooled over."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from bayeslaw.errors import CardError

PRIOR = re.compile(r"^\s*(lognormal|logitnormal|normal)\s*\(\s*([^,()]+)\s*,\s*([^,()]+)\s*\)\s*$")
_SYMBOL = re.compile(r"(?!(?i:inf|infinity|nan)$)[A-Za-z]\w*")


@dataclass(frozen=True)
class Prior:
    """``lognormal(median, sd of the log)``, ``logitnormal(median, sd of the logit)`` or ``normal(mean, sd)``.

    The median of a lognormal may be another symbol of the law, ``lognormal(alpha, 0.1)``: ``around`` is then its name
    and ``centre``, the median of their ratio, is 1.
    """

    kind: str
    centre: float
    sd: float
    around: str = ""

    @classmethod
    def parse(cls, text: object, where: str) -> Prior:
        """Read the prior that ``text`` states; CardError names the place, ``where``, what came and what would do."""
        found = PRIOR.match(text) if isinstance(text, str) else None
        try:
            if found is None:
                raise ValueError
            kind, sd = found[1], float(found[3])
            around = found[2] if kind == "lognormal" and _SYMBOL.fullmatch(found[2]) else ""
            centre = 1.0 if around else float(found[2])
        except ValueError:
            raise CardError(
                f"{where}: cannot read the prior {text!r}. Write lognormal(median, sd of the log), "
                f"logitnormal(median, sd of the logit) or normal(mean, sd), for example lognormal(0.35, 0.4)."
            ) from None
        bad_centre = (kind == "lognormal" and centre <= 0) or (kind == "logitnormal" and not 0 < centre < 1)
        if bad_centre or not sd > 0 or not math.isfinite(centre + sd):
            raise CardError(
                f"{where}: {text!r} is not a distribution: its sd must be above 0, the median of a lognormal above 0 "
                f"and that of a logitnormal between 0 and 1."
            )
        return cls(kind, centre, sd, around)

    @property
    def location(self) -> float:
        """The centre on the link scale (log, logit or as is)."""
        if self.kind == "lognormal":
            return math.log(self.centre)
        return math.log(self.centre / (1 - self.centre)) if self.kind == "logitnormal" else self.centre

    def __str__(self) -> str:
        return f"{self.kind}({self.around or format(self.centre, 'g')}, {self.sd:g})"


@dataclass(frozen=True)
class Reasoned:
    """A prior and the reason for it."""

    prior: Prior
    reason: str


@dataclass(frozen=True)
class Parameter:
    """How one symbol of the law is modelled.

    ``prior`` is on the symbol itself for a shape, and on **its term's nats at the data's reference row** (geometric
    means of the covariates) for an amplitude. A shape's prior may have another shape's population value for its
    median. ``slope`` is the prior of its change per e-fold of N, on the link
    scale. ``pool`` maps a level to the prior of the spread of that level's deviations, on the link scale.
    """

    prior: Prior
    reason: str
    slope: Prior | None = None
    pool: Mapping[str, Prior] = field(default_factory=dict)
