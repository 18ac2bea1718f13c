"""Budgets as people state them, and what they are in FLOP, device-hours, days and money.

One chain of units: FLOP = device-hours × 3600 × peak × MFU; money = device-hours × price; days = device-hours / 24 /
devices. MFU is the share of the peak that training keeps up (model FLOP utilisation).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from numbers import Real

from bayeslaw.data.units import SUFFIXES, human
from bayeslaw.errors import PlanError
from bayeslaw.plan.devices import device, same

#: utilisation taken where none is given: what well-kept trainings of dense models report
MFU = 0.4
_NUMBER = r"(?P<number>(?:\d[\d_,]*\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*(?P<suffix>(?:[kmbgtp](?![a-z]))?)"
_FORMS = {
    "flops": re.compile(rf"{_NUMBER}\s*(?P<unit>flops?)?", re.IGNORECASE),
    "petaflop-days": re.compile(rf"{_NUMBER}\s*(?P<unit>pf(?:lop)?/?s?-?\s*days?|petaflops?-?\s*days?)", re.IGNORECASE),
    "hours": re.compile(
        rf"{_NUMBER}\s*(?P<unit>[a-z][a-z0-9]*(?:-[a-z0-9]+)??)?[\s-]*(?:hours?|hrs?|h)", re.IGNORECASE
    ),
    "money": re.compile(rf"[$€£]\s*{_NUMBER}|{_NUMBER.replace('?P<', '?P<m')}\s*(?:usd|dollars?|eur|euros?)", re.I),
    "days": re.compile(
        rf"{_NUMBER}\s*days?(?:\s*(?:on|x|×)\s*(?P<count>\d[\d,]*)\s*(?:x\s*)?(?P<unit>[a-z][\w-]*?)?s?)?",
        re.IGNORECASE,
    ),
}
#: commas that can only part thousands
_THOUSANDS = re.compile(r"\d{1,3}(,\d{3})+(\.\d*)?")
_EXAMPLES = '"1e22 FLOP", "2000 H100-hours", "$50k", "30 days on 64 H100", "100 PF-days"'


@dataclass(frozen=True)
class Rates:
    """What turns FLOP into hours, days and money. ``peak`` in FLOP/s, ``price`` per device and hour."""

    peak: float | None = None
    mfu: float = MFU
    price: float | None = None
    devices: int | None = None
    name: str = "device"

    def __post_init__(self) -> None:
        if not 0 < self.mfu <= 1:
            raise PlanError(f"MFU is a share of the peak, above 0 and at most 1 (0.4 is usual); got {self.mfu:g}.")
        for what, value in (("price", self.price), ("peak", self.peak), ("devices", self.devices)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise PlanError(f"{what} is a number above 0, not {value!r}.")

    def hours(self, flops: float) -> float | None:
        """Device-hours of a training of ``flops``; None without a device."""
        return None if self.peak is None else flops / (3600 * self.peak * self.mfu)

    def money(self, flops: float) -> float | None:
        """Its price; None without a device or a price."""
        hours = self.hours(flops)
        return None if hours is None or self.price is None else hours * self.price

    def days(self, flops: float) -> float | None:
        """Its days; None without a device or a number of devices."""
        hours = self.hours(flops)
        return None if hours is None or self.devices is None else hours / 24 / self.devices

    def flops_of_hours(self, hours: float, why: str) -> float:
        """FLOP of so many device-hours. PlanError without a device."""
        if self.peak is None:
            raise PlanError(f"{why} needs a device: gpu='h100' (--gpu h100), or its peak in FLOP/s.")
        return hours * 3600 * self.peak * self.mfu

    def flops_of_money(self, money: float, why: str) -> float:
        """FLOP that money buys. PlanError without a price or a device."""
        if self.price is None:
            raise PlanError(f"{why} needs the price of a device-hour: price=2.0 (--price 2.0).")
        return self.flops_of_hours(money / self.price, why)

    def say(self, flops: float) -> str:
        """A budget in all the units that are known."""
        parts = [f"{human(flops)} FLOP"]
        hours, money, days = self.hours(flops), self.money(flops), self.days(flops)
        if hours is not None:
            parts.append(f"{human(hours)} {self.name}-hours at MFU {self.mfu:g}")
        if days is not None:
            parts.append(f"{human(days)} days on {self.devices:,}")
        if money is not None:
            parts.append(f"{human(money)} at {self.price:g} per hour")
        return ", ".join(parts)


def rates(
    gpu: str | None = None, *, peak: float | None = None, mfu: float = MFU, price: float | None = None,
    devices: int | None = None,
) -> Rates:  # fmt: skip
    """Rates from a device's name or peak. PlanError for an unknown device without a peak, naming the nearest."""
    if peak is None:
        found = device(gpu) if gpu is not None else None
        return Rates(found.peak if found else None, mfu, price, devices, found.name if found else "device")
    return Rates(peak, mfu, price, devices, gpu.lower() if gpu is not None else "device")


def settled(given: Rates | None, known: Rates | None = None) -> Rates:
    """``known``, the ``given`` rates with what a budget's text said; the given ones where there was no text.

    PlanError if the text names another device or number of devices than was given, or if a price, an MFU or devices
    were given and no device: nothing would read them.
    """
    given = _given(given)
    known = given if known is None else known
    if given.peak is not None and known.peak != given.peak:
        raise PlanError(f"The budget is one of {known.name}, the rates are of {given.name}: name one device in both.")
    if given.devices is not None and known.devices != given.devices:
        raise PlanError(
            f"The budget names {known.devices} devices, the rates {given.devices}: name one number in both."
        )
    idle = [f"{k}={getattr(known, k):g}" for k in ("price", "devices") if getattr(known, k) is not None]
    idle += [f"mfu={known.mfu:g}"] if known.mfu != MFU else []
    if known.peak is None and idle:
        raise PlanError(
            f"{', '.join(idle)}: FLOP become hours, days and money on a device, and none is named. Name one, "
            "rates('h100', ...), or give its peak in FLOP/s, rates(peak=989e12, ...)."
        )
    return known


def parse_budget(text: str | float, given: Rates | None = None) -> tuple[float, Rates]:
    """A budget in FLOP, and the rates with what the text itself says (its device, its number of devices).

    Parameters
    ----------
    text : a number of FLOP, or words: "1e22 FLOP", "2000 H100-hours", "$50k", "30 days on 64 H100", "100 PF-days".
    given : device, MFU and price for budgets that are not in FLOP.

    Raises
    ------
    PlanError
        The text is no budget, is not above zero, has a comma that may be a decimal one, or needs a device or a price
        that nobody gave.
    """
    known = _given(given)
    if not isinstance(text, str):
        if not isinstance(text, Real):
            raise PlanError(f"A budget is a number of FLOP or words, not {text!r}. Write it like {_EXAMPLES}.")
        return _above_zero(float(text), text), known
    words = text.strip()
    if words.startswith(("-", "$-")):
        raise PlanError(f"A budget is more than 0, and {text!r} is not. Write it like {_EXAMPLES}.")
    for form, pattern in _FORMS.items():
        found = pattern.fullmatch(words)
        if found is None:
            continue
        parts = found.groupdict()
        number = str(parts.get("number") or parts.get("mnumber"))
        if "," in number and not _THOUSANDS.fullmatch(number):
            raise PlanError(
                f"The comma in {text!r} may be a decimal one. Write the number with a point, such as "
                f"{number.replace(',', '.', 1)}, or without commas."
            )
        amount = float(number.replace(",", "").replace("_", ""))
        amount *= SUFFIXES[(parts.get("suffix") or parts.get("msuffix") or "").lower()]
        _above_zero(amount, text)
        unit = parts.get("unit")
        if form in ("flops", "petaflop-days"):
            return amount * (1.0 if form == "flops" else 8.64e19), known
        if form == "money":
            return known.flops_of_money(amount, f"The budget {text!r}"), known
        if unit and unit.lower() not in ("gpu", "device", "accelerator"):
            known = _of_device(unit, known)
        if form == "days":
            count = int(parts["count"].replace(",", "")) if parts.get("count") else known.devices
            if count is None:
                raise PlanError(f"The budget {text!r} needs a number of devices: '30 days on 64 H100' or devices=64.")
            known = Rates(known.peak, known.mfu, known.price, count, known.name)
            return known.flops_of_hours(amount * 24 * count, f"The budget {text!r}"), known
        return known.flops_of_hours(amount, f"The budget {text!r}"), known
    raise PlanError(f"Cannot read {text!r} as a budget: its unit is none that is known. Write it like {_EXAMPLES}.")


def _given(rates: Rates | None) -> Rates:
    """The rates; none where none were given. PlanError for what are no rates."""
    if rates is not None and not isinstance(rates, Rates):
        raise PlanError(f"rates= takes Rates, not {type(rates).__name__}: rates('h100', price=2.0) makes them.")
    return rates or Rates()


def _of_device(unit: str, known: Rates) -> Rates:
    """Rates of the device that a budget names; a peak that was given for it, or for no device by name, is kept."""
    if known.peak is not None and same(unit, known.name):
        return known
    if known.peak is not None and known.name == "device":
        return replace(known, name=unit.lower())
    return rates(unit, mfu=known.mfu, price=known.price, devices=known.devices)


def _above_zero(value: float, said: object) -> float:
    if not (math.isfinite(value) and value > 0):
        raise PlanError(f"A budget is more than 0, and {said!r} is not. Write it like {_EXAMPLES}.")
    return value
