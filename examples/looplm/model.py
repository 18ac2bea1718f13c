"""A looped language model: one block of weights applied again and again, with an exit head and gate after each step.

The architecture is Ouro's (Zhu et al. 2025, arXiv 2510.25741) in small: a decoder-only transformer block with rotary
positions, applied ``recurrence`` times to the same residual stream; after every step the same norm and output head
read a prediction, and the gate says how likely the model is to stop there. Simpler than Ouro: the block is a single
layer, so that a model of one step is a transformer of one layer; RMS norms stand before each half and not after it
too; the feed-forward layer is a squared ReLU.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array


class Block(eqx.Module):
    """Attention and a feed-forward layer, each after an RMS norm, both added to the stream."""

    qkv: eqx.nn.Linear
    out: eqx.nn.Linear
    up: eqx.nn.Linear
    down: eqx.nn.Linear
    norms: tuple[eqx.nn.RMSNorm, ...]
    rotary: eqx.nn.RotaryPositionalEmbedding
    heads: int = eqx.field(static=True)

    def __init__(self, width: int, heads: int, *, key: Array):
        keys = jax.random.split(key, 4)
        self.qkv = eqx.nn.Linear(width, 3 * width, use_bias=False, key=keys[0])
        self.out = eqx.nn.Linear(width, width, use_bias=False, key=keys[1])
        self.up = eqx.nn.Linear(width, 4 * width, use_bias=False, key=keys[2])
        self.down = eqx.nn.Linear(4 * width, width, use_bias=False, key=keys[3])
        self.norms = tuple(eqx.nn.RMSNorm(width, use_bias=False) for _ in range(2))
        self.rotary = eqx.nn.RotaryPositionalEmbedding(width // heads)
        self.heads = heads

    def __call__(self, x: Array) -> Array:
        """``x``: (sequences, tokens, width); returns the same shape."""
        x = x + self.attend(normed(self.norms[0], x))
        hidden = jnp.square(jax.nn.relu(normed(self.norms[1], x) @ self.up.weight.T))
        return x + hidden @ self.down.weight.T

    def attend(self, x: Array) -> Array:
        q, k, v = jnp.split((x @ self.qkv.weight.T).reshape(*x.shape[:2], 3 * self.heads, -1), 3, axis=2)
        turn = jax.vmap(jax.vmap(self.rotary, in_axes=1, out_axes=1))
        mixed = jax.nn.dot_product_attention(turn(q), turn(k), v, is_causal=True)
        return mixed.reshape(x.shape) @ self.out.weight.T


def normed(norm: eqx.nn.RMSNorm, x: Array) -> Array:
    return jax.vmap(jax.vmap(norm))(x)


class LoopLM(eqx.Module):
    """Embedding, block, norm, gate. The output head is the embedding's transpose."""

    embedding: eqx.nn.Embedding
    block: Block
    norm: eqx.nn.RMSNorm
    gate: eqx.nn.Linear
    recurrence: int = eqx.field(static=True)

    def __init__(self, vocabulary: int, width: int, heads: int, recurrence: int, *, key: Array):
        keys = jax.random.split(key, 3)
        self.embedding = eqx.nn.Embedding(weight=jax.random.normal(keys[0], (vocabulary, width)) * width**-0.5)
        self.block = Block(width, heads, key=keys[1])
        self.norm = eqx.nn.RMSNorm(width, use_bias=False)
        self.gate = eqx.nn.Linear(width, 1, key=keys[2])
        self.recurrence = recurrence

    def __call__(self, tokens: Array) -> tuple[Array, Array]:
        """From tokens, (sequences, length), to logits and gate logits of every step.

        Returns (recurrence, sequences, length, vocabulary) and (recurrence, sequences, length). Written for a whole
        batch, not one sequence under ``vmap``: one large matrix product a layer is several times as fast on a CPU.
        """
        x = self.embedding.weight[tokens] * self.embedding.weight.shape[1] ** 0.5
        logits, gates = [], []
        for _ in range(self.recurrence):
            x = self.block(x)
            read = normed(self.norm, x)
            logits.append(read @ self.embedding.weight.T)
            gates.append((read @ self.gate.weight.T + self.gate.bias)[..., 0])
        return jnp.stack(logits), jnp.stack(gates)
