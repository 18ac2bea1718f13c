"""Budgets as people write them."""

import pytest

from bayeslaw.errors import PlanError
from bayeslaw.plan.budget import Rates, parse_budget, rates, settled
from bayeslaw.plan.devices import PEAK, device

H100 = rates("h100", mfu=0.4, price=2.0)
HOUR = 3600 * 989e12 * 0.4


@pytest.mark.parametrize(
    ("text", "flops"),
    [
        ("1e22 FLOP", 1e22),
        ("1e22", 1e22),
        (3e21, 3e21),
        ("2000 H100-hours", 2000 * HOUR),
        ("2k h100 hours", 2000 * HOUR),
        ("2000 gpu-hours", 2000 * HOUR),
        ("2,000 hours", 2000 * HOUR),
        ("$50k", 25_000 * HOUR),
        ("50k USD", 25_000 * HOUR),
        ("30 days on 64 H100", 30 * 24 * 64 * HOUR),
        ("30 days on 64 x H100s", 30 * 24 * 64 * HOUR),
        ("1 PF-days", 8.64e19),
        ("100 a100-hours", 100 * 3600 * 312e12 * 0.4),
        ("500 tpu-v5e hours", 500 * 3600 * 197e12 * 0.4),
    ],
)
def test_budgets(text, flops):
    assert parse_budget(text, H100)[0] == pytest.approx(flops, rel=1e-12)


@pytest.mark.parametrize("text", ["0", "$0", "-1", "-5 FLOP", "0 hours", "nan", "inf", 0.0, -2.0, float("nan")])
def test_a_budget_is_above_zero(text):
    with pytest.raises(PlanError, match=r"more than 0|Cannot read"):
        parse_budget(text, H100)


@pytest.mark.parametrize("text", ["3 bananas", "", "many", "1e22 watts", "12 parsecs"])
def test_an_unknown_unit_is_named(text):
    with pytest.raises(PlanError, match="2000 H100-hours"):
        parse_budget(text, H100)


def test_what_a_budget_lacks_is_asked_for():
    with pytest.raises(PlanError, match="price"):
        parse_budget("$50k", rates("h100"))
    with pytest.raises(PlanError, match="gpu="):
        parse_budget("100 hours")
    with pytest.raises(PlanError, match="number of devices"):
        parse_budget("30 days", H100)


def test_an_unknown_device_is_met_with_the_nearest():
    with pytest.raises(PlanError, match="h100"):
        device("h101")
    with pytest.raises(PlanError, match="peak"):
        device("quux")
    with pytest.raises(PlanError, match="h100"):
        parse_budget("2000 H101-hours", H100)
    assert device("NVIDIA H100 SXM5 80GB").peak == PEAK["h100"]
    assert device("TPU v5p").peak == PEAK["tpu-v5p"]


def test_rates_there_and_back():
    one = Rates(1e15, 0.5, 3.0, 10)
    assert one.hours(1.8e18) == pytest.approx(1)
    assert one.money(1.8e18) == pytest.approx(3)
    assert one.days(1.8e18 * 240) == pytest.approx(1)
    assert Rates().hours(1e20) is None
    assert Rates(1e15).money(1e20) is None
    for bad in ({"mfu": 0}, {"mfu": 1.5}, {"price": -1}, {"peak": 0}, {"devices": 0}):
        with pytest.raises(PlanError):
            Rates(**bad)


@pytest.mark.parametrize("text", ["1,5e22 FLOP", "2,5 days on 64 H100", "$1,5k", "10,00 H100-hours"])
def test_a_comma_that_may_be_decimal_is_asked_about(text):
    with pytest.raises(PlanError, match=r"comma.*point"):
        parse_budget(text, H100)


def test_a_peak_that_was_given_is_that_of_the_device_named():
    for given in (rates("h100", peak=800e12), rates(peak=800e12), rates("H100 SXM5", peak=800e12)):
        flops, known = parse_budget("2000 H100-hours", given)
        assert flops == pytest.approx(2000 * 3600 * 800e12 * 0.4)
        assert known.peak == 800e12
    # a device that is not in the list, which the message about it asks for
    flops, known = parse_budget("10 trainium2-hours", rates("trainium2", peak=667e12))
    assert (flops, known.name) == (pytest.approx(10 * 3600 * 667e12 * 0.4), "trainium2")


def test_rates_that_nothing_reads_are_refused():
    for idle, said in (({"price": 2.0}, "price=2"), ({"devices": 8}, "devices=8"), ({"mfu": 0.5}, "mfu=0.5")):
        with pytest.raises(PlanError, match=rf"{said}.*rates\('h100'"):
            settled(rates(**idle))
    assert settled(None) == Rates()
    # the text may be what names the device
    given = rates(price=2.0)
    assert settled(given, parse_budget("2000 H100-hours", given)[1]).money(HOUR) == pytest.approx(2)


def test_a_budget_and_rates_that_differ_are_refused():
    for given, text, said in (
        (rates("a100", price=1.0), "2000 H100-hours", "h100.*a100"),
        (rates("h100", devices=32), "30 days on 64 H100", "64 devices.*32"),
    ):
        with pytest.raises(PlanError, match=said):
            settled(given, parse_budget(text, given)[1])
    with pytest.raises(PlanError, match="takes Rates, not str"):
        parse_budget("2000 hours", "h100")  # type: ignore[arg-type]
    with pytest.raises(PlanError, match="number of FLOP or words"):
        parse_budget([1e21, 1e22])  # type: ignore[arg-type]
