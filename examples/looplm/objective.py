"""Ouro's objective: each step's loss weighted by the chance to exit there, less a bonus for keeping the exits open.

Zhu et al. 2025 (arXiv 2510.25741), stage I: with exit probability lambda_t = sigmoid(gate) at step t,
q(t) = lambda_t * prod_{s<t} (1 - lambda_s), the last step taking what is left;
total = sum_t q(t) * L_t - beta * H(q), for every token, then averaged over tokens. All in nats.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array


def exit_log_weights(gates: Array) -> Array:
    """log q from gate logits, both (steps, ...): a token's weights sum to 1 over the steps; the last gate is idle."""
    stop, go = jax.nn.log_sigmoid(gates), jax.nn.log_sigmoid(-gates)
    before = jnp.concatenate([jnp.zeros_like(go[:1]), jnp.cumsum(go[:-1], axis=0)])
    return before + stop.at[-1].set(0.0)


def token_losses(logits: Array, targets: Array) -> Array:
    """Cross-entropy in nats: logits (steps, ..., vocabulary) and targets (...) give (steps, ...)."""
    picked = jnp.take_along_axis(logits, targets[None, ..., None], axis=-1)[..., 0]
    return jax.nn.logsumexp(logits, axis=-1) - picked


def objective(losses: Array, gates: Array, beta: float) -> tuple[Array, dict[str, Array]]:
    """Total loss, and what to log: mean loss of each step, mean gate weight of each step, mean entropy of the exits.

    ``losses`` and ``gates`` are (steps, ...) over any number of tokens; ``beta`` weighs the entropy in nats.
    """
    log_q = exit_log_weights(gates)
    q = jnp.exp(log_q)
    over = tuple(range(1, losses.ndim))
    entropy = -jnp.sum(q * log_q, axis=0).mean()
    total = jnp.sum(q * losses, axis=0).mean() - beta * entropy
    return total, {"losses": losses.mean(over), "weights": q.mean(over), "entropy": entropy}
