"""Rates and sums of schedules, against per-step loops; and what unusable schedules are told."""

import numpy as np
import pytest

from bayeslaw.errors import DataError
from bayeslaw.laws import Schedule

SCHEDULES = {
    "constant": Schedule.constant(1e-3, 500, 40),
    "no warm-up": Schedule.constant(1e-3, 500),
    "cosine": Schedule.cosine(3e-4, 1000, 100),
    "long cosine": Schedule.cosine(3e-4, 30_000, 1000, 0.0),
    "wsd linear": Schedule.wsd(3e-4, 1000, 50, 0.2),
    "wsd exponential": Schedule.wsd(3e-4, 1000, 50, 300, "exponential"),
    "wsd cosine": Schedule.wsd(3e-4, 1000, 50, 0.3, "cosine", 0.1),
    "wsd root": Schedule.wsd(3e-4, 1000, 50, 0.3, "1-sqrt"),
    "two-stage": Schedule.two_stage(3e-4, 3e-5, 600, 1000, 50),
    "rows": Schedule.from_rows([64, 128, 256, 700], [1e-4, 3e-4, 2e-4, 1e-5]),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_summed_rate_is_the_per_step_sum(name):
    schedule = SCHEDULES[name]
    steps = np.arange(schedule.total + 200)
    by_step = np.cumsum(schedule.rate(steps)) - schedule.rate(0)
    np.testing.assert_allclose(schedule.sums(steps), by_step, rtol=1e-11, atol=1e-14)


def test_summed_rate_of_two_million_steps():
    schedule = Schedule.cosine(3e-4, 2_000_000, 2000)
    by_step = np.cumsum(schedule.rate(np.arange(1, 2_000_001)))
    np.testing.assert_allclose(schedule.sums(np.arange(1, 2_000_001)), by_step, rtol=1e-10)


@pytest.mark.parametrize("clock", [0.5, 0.8, 1.2])
@pytest.mark.parametrize("name", SCHEDULES)
def test_another_clock_counts_powers_of_the_rate(name, clock):
    schedule = SCHEDULES[name]
    steps = np.arange(schedule.total + 200)
    counted = 1e-3 * (schedule.rate(steps) / 1e-3) ** clock
    # the warm-up's rates keep their proportions
    early = steps < schedule.warmup
    counted[early] = schedule.rate(steps[early]) * (schedule.rate(schedule.warmup) / 1e-3) ** (clock - 1)
    by_step = np.cumsum(counted) - counted[0]
    np.testing.assert_allclose(schedule.sums(steps, clock), by_step, rtol=2e-3, atol=2e-3 * by_step[-1])
    assert schedule.sums(schedule.total, clock) == pytest.approx(by_step[schedule.total], rel=1e-3)


def test_the_clock_leaves_its_own_unit_alone():
    steps = np.arange(0, 700, 50)
    unit = Schedule.constant(1e-3, 500)
    np.testing.assert_allclose(unit.sums(steps, 0.6), unit.sums(steps), rtol=1e-12)
    double = Schedule.constant(2e-3, 500)
    np.testing.assert_allclose(double.sums(steps, 0.6), 2**0.6 * unit.sums(steps), rtol=1e-12)


def test_fractional_steps_lie_between_whole_ones():
    schedule = SCHEDULES["cosine"]
    low, middle, high = schedule.sums([300, 300.5, 301])
    assert low < middle < high


@pytest.mark.parametrize("shape", ["linear", "exponential", "cosine", "1-sqrt"])
def test_decays_follow_their_formula(shape):
    total, n, peak, last = 10_000, 4000, 3e-4, 3e-5
    schedule = Schedule.wsd(peak, total, 500, n, shape, 0.1)
    t = np.arange(total - n, total + 1)
    f = (t - (total - n)) / n
    expected = {
        "linear": peak + (last - peak) * f,
        "exponential": peak * (last / peak) ** f,
        "cosine": last + (peak - last) * (1 + np.cos(np.pi * f)) / 2,
        "1-sqrt": last + (peak - last) * (1 - np.sqrt(f)),
    }[shape]
    np.testing.assert_allclose(schedule.rate(t), expected, atol=2e-4 * peak if shape == "1-sqrt" else 1e-6 * peak)
    landmarks = schedule.rate([0, 250, 500, total - n, total + 99])
    np.testing.assert_allclose(landmarks, [0, peak / 2, peak, peak, last], rtol=1e-12)


def test_cosine_follows_its_formula():
    schedule = Schedule.cosine(3e-4, 72_000, 2160)
    t = np.arange(2160, 72_001)
    expected = 3e-5 + 2.7e-4 * (1 + np.cos(np.pi * (t - 2160) / (72_000 - 2160))) / 2
    np.testing.assert_allclose(schedule.rate(t), expected, atol=1e-6 * 3e-4)


def test_two_stage_drops_in_one_step():
    assert list(SCHEDULES["two-stage"].rate([599, 600, 1000])) == [3e-4, 3e-5, 3e-5]
    assert list(Schedule.two_stage(1.0, 0.1, 100, 100).rate([99, 100, 101])) == [1.0, 0.1, 0.1]


def test_rows_ramp_up_to_the_first_and_end_the_warm_up_there():
    schedule = Schedule.from_rows([200, 300, 400], [1e-3, 1e-3, 5e-4])
    assert schedule.warmup == 200
    np.testing.assert_allclose(
        schedule.rate([0, 100, 200, 300, 350, 400, 900]), [0, 5e-4, 1e-3, 1e-3, 7.5e-4, 5e-4, 5e-4]
    )
    assert Schedule.from_rows([200, 300], [1e-3, 5e-4], before="constant").rate(0) == 1e-3
    assert Schedule.from_rows([200, 300], [1e-3, 5e-4], before="constant").warmup == 0


def test_rows_that_hold_the_warm_up_end_it_where_the_rate_stops_rising():
    logged = Schedule.from_rows([50, 100, 150, 200, 250, 300], [1e-4, 2e-4, 2e-4, 4e-4, 4e-4, 3e-4])
    assert logged.warmup == 200
    assert Schedule.from_rows([50, 100, 200], [1e-4, 2e-4, 2e-4], warmup=50).warmup == 50
    assert Schedule.from_rows([10, 20, 30], [1e-4] * 3).warmup == 10


def test_rows_of_a_lone_jump_drop_at_the_later_row():
    steps, rates = [100, 200, 300, 400, 500], [3e-4, 3e-4, 3e-5, 3e-5, 3e-5]
    schedule = Schedule.from_rows(steps, rates)
    assert list(schedule.rate([299, 300])) == [3e-4, 3e-5]
    assert Schedule.from_rows(steps, [3e-4, 3e-4, 2e-4, 1e-4, 3e-5]).rate(250) == pytest.approx(2.5e-4)


def test_the_last_of_several_rows_of_one_step_counts():
    assert Schedule.from_rows([10, 20, 20, 30], [1.0, 5.0, 1.0, 0.5]).rate(20) == 1.0


def test_level_rows_leave_two_knots():
    assert len(Schedule.from_rows(np.arange(10, 5000, 10), np.full(499, 1e-3)).steps) == 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Schedule.from_rows([1, 2, 3], [1e-3, np.nan, 1e-3]), r"learning rate at step 2 is missing"),
        (lambda: Schedule.from_rows([1, 3, 2], [1e-3] * 3), r"step 2 comes after 3"),
        (lambda: Schedule.from_rows([1, 2], [1e-3]), r"2 steps and 1 rates"),
        (lambda: Schedule.from_rows([1, 2], [1e-3, -1e-3]), r"rate at step 2 is -0\.001; it must be a number >= 0"),
        (lambda: Schedule.from_rows([1.5, 2], [1e-3, 1e-3]), r"whole numbers; got 1\.5"),
        (lambda: Schedule.from_rows([1, 2], [1e-3, 1e-3], before="cubic"), r"'linear' or 'constant'; got 'cubic'"),
        (lambda: Schedule(np.array([1.0, 2.0]), np.array([1.0, 1.0])), r"begin at 0 and increase; got 1 first"),
        (lambda: Schedule(np.array([0.0, 5.0, 5.0]), np.ones(3)), r"increase; got 5 after 5"),
        (lambda: Schedule(np.zeros((2, 2)), np.zeros(4)), r"as many rates as steps"),
        (lambda: Schedule.constant(-1.0, 10), r"peak learning rate must be positive; got -1"),
        (lambda: Schedule.constant(1.0, 10, 10), r"warmup=10, total=10"),
        (lambda: Schedule.cosine(1.0, 10, 1, 2.0), r"final_fraction is a share"),
        (lambda: Schedule.wsd(1.0, 100, 10, 95), r"A decay of 95 is 95 steps, but 90 steps are left"),
        (lambda: Schedule.wsd(1.0, 100, 10, 0.2, "cubic"), r"No decay is called 'cubic'; the shapes are linear, "),
        (lambda: Schedule.wsd(1.0, 100, 10, 0.2, "exponential", 0.0), r"never reaches a rate of 0"),
        (lambda: Schedule.two_stage(1.0, 0.1, 5, 100, 10), r"begins at step 5, outside the 10 to 100"),
        (lambda: SCHEDULES["cosine"].segments(0), r"at least one segment; got m=0"),
    ],
)
def test_unusable_schedules_are_named(make, message):
    with pytest.raises(DataError, match=message):
        make()


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("wsd:peak=3e-4,total=24000,warmup=2000,decay=0.2,shape=linear", Schedule.wsd(3e-4, 24_000, 2000, 0.2)),
        (" Cosine: peak=1e-3 , total=1e4,final_fraction=0 ", Schedule.cosine(1e-3, 10_000, 0, 0.0)),
        ("constant:peak=1e-3,total=100,warmup=10", Schedule.constant(1e-3, 100, 10)),
        ("two-stage:peak=1,second=.1,at=50,total=100", Schedule.two_stage(1, 0.1, 50, 100)),
    ],
)
def test_schedules_are_read_from_a_line(text, same):
    schedule = Schedule.parse(text)
    t = np.arange(0, same.total + 10)
    np.testing.assert_array_equal(schedule.rate(t), same.rate(t))
    assert schedule.warmup == same.warmup


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cosin:peak=1,total=9", r"No schedule is called 'cosin'.*Write 'cosine:peak="),
        ("", r"No schedule is called ''.*there are constant, cosine, wsd, two-stage\. Write 'wsd:"),
        ("wsd:peak=1,total", r"'total' in 'wsd:peak=1,total' is not of the form name=value\. Write 'wsd:"),
        ("wsd:peak=1,total=9,steps=3", r"has no 'steps'.*only peak, total, warmup, decay, shape, final_fraction"),
        ("cosine:peak=high,total=9", r"peak='high' in .* is not a number\. Write 'cosine:"),
        ("cosine:peak=1,total=9.5", r"total='9\.5' in .* is not a whole number of steps"),
        ("cosine:peak=1,total=40B", r"total='40B' in .* is not a whole number of steps"),
        ("cosine:peak=1,total=nan", r"total='nan' in .* is not a whole number"),
        ("cosine:peak=1", r"'cosine:peak=1' lacks total"),
        ("cosine:peak=1,peak=2,total=9", r"'peak' comes twice"),
    ],
)
def test_unreadable_lines_are_told_a_readable_one(text, message):
    with pytest.raises(DataError, match=message):
        Schedule.parse(text)
