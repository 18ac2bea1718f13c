"""Accelerators: dense 16-bit peak FLOP/s (bfloat16, or float16 where there is none), from the makers' data sheets."""

from __future__ import annotations

from dataclasses import dataclass

from bayeslaw.errors import PlanError, meant, nearest

#: name -> peak, FLOP/s, without sparsity
PEAK: dict[str, float] = {
    "a10": 125e12,
    "a100": 312e12,
    "a800": 312e12,
    "b200": 2250e12,
    "gb200": 2500e12,
    "gaudi2": 432e12,
    "gaudi3": 1835e12,
    "h100": 989e12,
    "h100-pcie": 756e12,
    "h200": 989e12,
    "h20": 148e12,
    "h800": 989e12,
    "l4": 121e12,
    "l40s": 362e12,
    "mi250x": 383e12,
    "mi300x": 1307e12,
    "mi325x": 1307e12,
    "rtx3090": 71e12,
    "rtx4090": 165e12,
    "tpu-v4": 275e12,
    "tpu-v5e": 197e12,
    "tpu-v5p": 459e12,
    "tpu-v6e": 918e12,
    "v100": 125e12,
}


@dataclass(frozen=True)
class Device:
    """An accelerator: its name and its peak in FLOP/s."""

    name: str
    peak: float


def device(name: str) -> Device:
    """The accelerator called ``name``, however it is spelled (H100, h-100, TPUv4). PlanError names the nearest."""
    wanted = _bare(name)
    for known, peak in PEAK.items():
        if _bare(known) == wanted:
            return Device(known, peak)
    hint = meant(nearest(name, PEAK, most=3, cutoff=0.4, key=_bare)) or f" There are {', '.join(PEAK)}."
    raise PlanError(
        f"No device is called {name!r}.{hint} For another one give its peak in FLOP/s: peak=989e12 (--peak 989e12)."
    )


def same(one: str, other: str) -> bool:
    """Whether two names are of one device, however they are spelled."""
    return _bare(one) == _bare(other)


def _bare(name: str) -> str:
    bare = "".join(c for c in str(name).lower() if c.isalnum())
    for word in ("nvidia", "amd", "google", "intel", "sxm5", "sxm4", "sxm", "80gb", "40gb"):
        bare = bare.replace(word, "")
    return bare
