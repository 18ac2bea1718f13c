"""Limits: what a plan must keep to, in sizes, tokens, memory, recurrent steps and what is served afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from bayeslaw.errors import PlanError

#: sizes among which an optimum is looked for, parameters
SIZES = (1e3, 1e16)


def _above_zero(values: Sequence[Any]) -> bool:
    return all(isinstance(v, Real) and float(v) > 0 for v in values)


@dataclass(frozen=True)
class Limits:
    """What a plan must keep to.

    Attributes
    ----------
    sizes : the only sizes that may be trained, parameters.
    max_params : the largest size.
    memory, bytes_per_param : bytes that the weights may take, and of each (2: served in 16 bits): N ≤ memory / bytes.
    max_tokens : tokens of data that there are.
    recurrences : recurrent steps to choose among, for looped laws; by default those of the runs fitted.
    max_recurrence : the most of them.
    inference_tokens : tokens that will be generated over the model's life, 2 N FLOP each, paid from the same budget.
    """

    sizes: Sequence[float] | None = None
    max_params: float | None = None
    memory: float | None = None
    bytes_per_param: float = 2.0
    max_tokens: float | None = None
    recurrences: Sequence[float] | None = None
    max_recurrence: float | None = None
    inference_tokens: float = 0.0

    def __post_init__(self) -> None:
        for name in ("max_params", "memory", "bytes_per_param", "max_tokens", "max_recurrence"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, Real) and float(value) > 0):
                raise PlanError(f"The limit {name} is a number above 0, not {value!r}.")
        for name, what in (("sizes", "size above 0, in parameters"), ("recurrences", "number of recurrent steps")):
            value = getattr(self, name)
            if value is not None and not (np.ndim(value) == 1 and len(value) and _above_zero(value)):
                raise PlanError(f"The limit {name} is a list of at least one {what}, not {value!r}.")
        if self.sizes is None and self.largest < SIZES[0]:
            raise PlanError(f"Sizes begin at {SIZES[0]:g} parameters: max_params or memory leaves {self.largest:.3g}.")
        if not (isinstance(self.inference_tokens, Real) and self.inference_tokens >= 0):
            raise PlanError(f"inference_tokens is a number of tokens, at least 0, not {self.inference_tokens!r}.")

    @classmethod
    def of(cls, value: Limits | Mapping[str, Any] | None) -> Limits:
        """Limits from a mapping of their fields; None is no limits. PlanError names a field that there is not."""
        if isinstance(value, Limits):
            return value
        given = dict(value or {})
        unknown = [k for k in given if k not in cls.__dataclass_fields__]
        if unknown:
            raise PlanError(f"There is no limit {unknown[0]!r}. There are {', '.join(cls.__dataclass_fields__)}.")
        return cls(**given)

    @property
    def largest(self) -> float:
        """The largest size allowed, parameters."""
        bounds = [self.max_params, self.memory / self.bytes_per_param if self.memory else None]
        return min([b for b in bounds if b is not None], default=SIZES[1])

    @property
    def allowed(self) -> np.ndarray | None:
        """The sizes to choose among, ascending; None if all. PlanError if the largest size leaves none of them."""
        if self.sizes is None:
            return None
        fit = np.array(sorted(s for s in self.sizes if s <= self.largest), float)
        if not len(fit):
            raise PlanError(f"None of the sizes is at most {self.largest:.3g} parameters, the largest allowed.")
        return fit

    @property
    def free(self) -> bool:
        """True if the optimum may be anywhere, as closed forms assume."""
        bounds = (self.sizes, self.max_params, self.memory, self.max_tokens)
        return all(b is None for b in bounds) and not self.inference_tokens
