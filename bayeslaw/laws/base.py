"""What a law is, and how to write one.

A law says how the loss depends on a run's covariates. To add one, write a file of this folder with

1. a subclass of :class:`Law` that states ``name``, ``formula``, ``reference``, ``symbols`` and ``covariates``,
2. its ``terms``: the additive parts of the loss **for one row**, in nats, in the published formula's units,
3. one line in ``bayeslaw/laws/__init__.py``.

The engine does the batching, the change to well-scaled coordinates, the hierarchy and the noise; a law never sees
any of it. It traces ``terms`` with JAX: beyond plain arithmetic, functions are those of ``jax.numpy``, imported inside
``terms``, and ``if`` is ``jnp.where``. A law that reads schedules writes ``unit_terms`` too, as ``annealed.py`` does.
Every member of the registry is put through the same property tests.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

Array = Any  # a jax or numpy array; spelled so that importing a law does not import JAX


@dataclass(frozen=True)
class Symbol:
    """One parameter of a law.

    ``kind`` is ``"amplitude"`` when the term of the same name is proportional to the parameter (``A`` in
    ``A / N^alpha``) and ``"shape"`` otherwise. ``low`` and ``high`` bound its support: the positive half-line by
    default, else 0 and 1, or all numbers. ``unit`` is that of the published formula. ``share_of`` names the covariate
    that the symbol is added to (``t1`` in ``N + t1``): its prior is then on its share of that covariate at the
    reference row, so that one prior serves models of ten thousand parameters and of ten billion.
    """

    name: str
    meaning: str
    unit: str
    kind: Literal["amplitude", "shape"]
    low: float = 0.0
    high: float = float("inf")
    share_of: str = ""

    @property
    def link(self) -> Literal["log", "logit", "identity"]:
        """The scale on which the parameter is unbounded: log of a positive one, logit of a share, else itself."""
        if self.low == -float("inf"):
            return "identity"
        return "log" if self.high == float("inf") else "logit"


class Law(abc.ABC):
    """A parametric loss law: a sum of named terms, each in nats per token.

    Subclasses are final: they define the class variables and :meth:`terms`, and override nothing else that is
    concrete except :meth:`unit_terms` where an amplitude has no natural value at the reference row.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    formula: ClassVar[str]
    reference: ClassVar[str]
    symbols: ClassVar[tuple[Symbol, ...]]
    #: columns of a row that ``terms`` reads (names of the data contract); ``"schedule"`` asks for the learning-rate
    #: sums that ``laws/schedule.py`` describes.
    covariates: ClassVar[tuple[str, ...]]
    #: amplitudes whose term takes loss away
    gains: ClassVar[tuple[str, ...]] = ()
    #: amplitudes whose term moves along a run, with its tokens or steps: one curve tells them from the rest
    along: ClassVar[tuple[str, ...]] = ()
    #: columns that ``terms`` reads too where a table has them
    optional: ClassVar[tuple[str, ...]] = ()

    @abc.abstractmethod
    def terms(self, p: Mapping[str, Array], x: Mapping[str, Array]) -> dict[str, Array]:
        """The additive terms of one row's loss.

        Parameters
        ----------
        p : mapping of symbol to scalar, in published units.
        x : mapping of covariate to scalar: ``n_params`` in parameters, ``tokens`` in tokens, ``recurrence`` and
            ``exit_step`` in recurrent steps, ``S1`` and the ``seg_*`` vectors of ``laws/schedule.py``.

        Returns
        -------
        dict of term name to scalar, in nats. A term that belongs to an amplitude bears the amplitude's name. A gain
        (annealing) is a negative term. Their sum is the loss.
        """

    def loss(self, p: Mapping[str, Array], x: Mapping[str, Array]) -> Array:
        """The law's loss of one row, nats per token: the sum of its terms at parameters ``p`` and covariates ``x``."""
        return sum(self.terms(p, x).values())

    def unit_terms(self, p: Mapping[str, Array], ref: Mapping[str, Array]) -> dict[str, Array]:
        """Nats that one unit of each amplitude is worth at the reference row ``ref``, for shapes ``p``.

        The engine samples an amplitude as "this term's nats at the reference row", which the data settle far better
        than ``A`` itself (``A`` and ``alpha`` are correlated at 0.99 in a published fit). The default evaluates the
        terms at the reference with every amplitude at 1.
        """
        names = [s.name for s in self.symbols if s.kind == "amplitude"]
        terms = self.terms({**p, **dict.fromkeys(names, 1.0)}, ref)
        return {name: abs(terms[name]) for name in names}

    def published(self, p: Mapping[str, Array], ref: Mapping[str, Array]) -> dict[str, Array]:
        """The symbols ``p`` as the engine samples them, each on its natural scale → the same in published units.

        Arrays of one shape each, or floats, in and out. An amplitude is sampled as its term's nats at the reference
        row ``ref``; dividing by what one unit is worth there gives the published coefficient. An offset of a covariate
        is sampled as its share of that covariate there.
        """
        p = {**p, **{s.name: p[s.name] * ref[s.share_of] for s in self.symbols if s.share_of}}
        unit = self.unit_terms(p, ref)
        return {name: value / unit[name] if name in unit else value for name, value in p.items()}

    def symbol(self, name: str) -> Symbol:
        """The symbol called ``name``; KeyError if the law has none such."""
        return {s.name: s for s in self.symbols}[name]
