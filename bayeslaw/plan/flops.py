"""Training compute of transformers, counted by named conventions.

Every convention gives FLOP **per training token**, forward and backward (three times the forward pass), without
recomputed activations. Multiply by tokens for a run.

============  ==========================================================================================
``"6N"``      6 N: two FLOP per parameter and multiply-add, times three. Kaplan et al. 2020
              (arXiv 2001.08361), sec. 2.1; GPT-3 (arXiv 2005.14165), table D.1, counts so.
``"palm"``    6 N + 12 L d_attn s: adds attention over the sequence. Chowdhery et al. 2022
              (arXiv 2204.02311), appendix B.
``"hoffmann"``  every matrix product, both embeddings and the softmax. Hoffmann et al. 2022
              (arXiv 2203.15556), appendix F.
``"looped"``  3 [2 (N_once + r N_rec) + 4 L_eff d_attn s + 2 d V]: loops, attention of every layer that is run, and
              the unembedding, N without embeddings. arXiv 2604.21106.
============  ==========================================================================================
"""

from __future__ import annotations

from dataclasses import dataclass

from bayeslaw.errors import PlanError

CONVENTIONS = ("6N", "palm", "hoffmann", "looped")


@dataclass(frozen=True)
class Transformer:
    """The sizes that a count needs.

    Attributes
    ----------
    layers : layers outside any loop (of a plain model: all of them).
    width : model width d.
    heads, head_width : attention heads and the width of each; ``heads * head_width`` is d_attn.
    feedforward : width of the feed-forward layer, 4 d by default.
    gated : three matrices in the feed-forward layer (SwiGLU) in place of two.
    vocabulary : rows of the embedding.
    sequence : tokens per sequence.
    looped_layers : layers inside the loop; recurrence : how often the loop is run.
    experts, active_experts : feed-forward layers per layer, and how many of them a token visits.
    """

    layers: int
    width: int
    heads: int
    vocabulary: int
    sequence: int
    head_width: int | None = None
    feedforward: int | None = None
    gated: bool = False
    looped_layers: int = 0
    recurrence: int = 1
    experts: int = 1
    active_experts: int = 1

    def __post_init__(self) -> None:
        for name in ("width", "heads", "vocabulary", "sequence", "recurrence", "experts", "active_experts"):
            if not getattr(self, name) >= 1:
                raise PlanError(f"A transformer's {name} is a count of at least 1, not {getattr(self, name)!r}.")
        if self.layers + self.looped_layers < 1 or min(self.layers, self.looped_layers) < 0:
            raise PlanError("A transformer has at least one layer: give layers= or looped_layers=.")
        if self.active_experts > self.experts:
            raise PlanError(f"{self.active_experts} experts are active, but there are {self.experts}.")

    @property
    def attention_width(self) -> int:
        """d_attn, heads × head width."""
        return self.heads * (self.head_width or self.width // self.heads)

    def layer_params(self, experts: int = 1) -> int:
        """Weights of one layer's matrices (no biases, no norms) with ``experts`` feed-forward layers."""
        matrices = 3 if self.gated else 2
        ffw = matrices * self.width * (self.feedforward or 4 * self.width)
        return 4 * self.width * self.attention_width + experts * ffw

    @property
    def n_once(self) -> int:
        """Parameters outside the loop that a token visits, embeddings left out."""
        return self.layers * self.layer_params(self.active_experts)

    @property
    def n_recurrent(self) -> int:
        """Parameters inside the loop that a token visits."""
        return self.looped_layers * self.layer_params(self.active_experts)

    @property
    def n_params(self) -> int:
        """All weights: every expert, and the embedding once."""
        return (self.layers + self.looped_layers) * self.layer_params(self.experts) + self.vocabulary * self.width

    @property
    def effective_layers(self) -> int:
        """Layers that a token passes."""
        return self.layers + self.recurrence * self.looped_layers


def per_token(model: Transformer, convention: str = "looped") -> float:
    """Training FLOP per token of a transformer, by one of ``CONVENTIONS``. PlanError if there is no such convention.

    N of ``"6N"`` and ``"palm"`` leaves out the embeddings and counts a loop as often as it is run.
    """
    unrolled = model.n_once + model.recurrence * model.n_recurrent
    attention = 4 * model.effective_layers * model.attention_width * model.sequence
    if convention == "6N":
        return 6.0 * unrolled
    if convention == "palm":
        return 6.0 * unrolled + 3.0 * attention
    if convention == "looped":
        return 3.0 * (2 * unrolled + attention + 2 * model.width * model.vocabulary)
    if convention == "hoffmann":
        embeddings = 2 * 2 * model.vocabulary * model.width  # both ends, as matrix products
        softmax = 3 * model.heads * model.sequence * model.effective_layers
        return 3.0 * (2 * unrolled + attention + softmax + embeddings)
    raise PlanError(f"No convention of counting FLOP is called {convention!r}. There are {', '.join(CONVENTIONS)}.")


def training_flops(n_params: float, tokens: float) -> float:
    """6 N D: training compute of N parameters (of a mixture of experts: the active ones) on D tokens."""
    return 6.0 * n_params * tokens


def looped_per_token(
    n_once: float, n_recurrent: float, recurrence: float, *, layers: float = 0, width: float = 0, vocabulary: float = 0,
    sequence: float = 0,
) -> float:  # fmt: skip
    """``3 [2 (N_once + r N_rec) + 4 L_eff d s + 2 d V]`` FLOP per training token.

    Without the model's shape only the looped part, ``6 (N_once + r N_rec)``; L_eff = ``layers`` are those that a token
    passes, loops counted as often as they are run.
    """
    return 3.0 * (2 * (n_once + recurrence * n_recurrent) + 4 * layers * width * sequence + 2 * width * vocabulary)


def inference_flops(n_params: float, tokens: float) -> float:
    """2 N per token: a forward pass without attention, as Sardana and Frankle 2023 (arXiv 2401.00448) count it."""
    return 2.0 * n_params * tokens
