import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayeslaw.data.units import human, parse
from bayeslaw.errors import DataError


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("70B", 70e9),
        ("1.4T", 1.4e12),
        ("125M", 125e6),
        ("125m params", 125e6),
        ("1e9", 1e9),
        ("5.76e23 FLOP", 5.76e23),
        ("5.76E+23 flops", 5.76e23),
        ("300,000", 300_000),
        ("1_000", 1000),
        (" 12 k ", 12_000),
        (".5B", 5e8),
        ("300 B tokens", 300e9),
        (7, 7.0),
        (6.7e9, 6.7e9),
    ],
)
def test_reads_what_people_write(text, number):
    assert parse(text) == number


@pytest.mark.parametrize("text", ["", "B", "seventy", "7 8", "1,4", "1.4.2T", "7BB", "nan", "inf", "-", "1e", "7B x"])
def test_refuses_with_the_text_and_examples(text):
    with pytest.raises(DataError) as error:
        parse(text, "n_params")
    assert repr(text) in str(error.value)
    assert "n_params" in str(error.value)
    assert '"70B"' in str(error.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, [1]])
def test_refuses_what_is_no_finite_number(value):
    with pytest.raises(DataError):
        parse(value)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (70e9, "70B"),
        (1.4e12, "1.4T"),
        (6.74e9, "6.74B"),
        (999_999, "1M"),
        (350, "350"),
        (0.5, "0.5"),
        (0, "0"),
        (-2e6, "-2M"),
        (5.76e23, "5.76e+23"),
    ],
)
def test_writes_what_people_read(number, text):
    assert human(number) == text


@given(st.floats(1e-3, 1e30))
def test_written_numbers_read_back_to_three_digits(number):
    assert parse(human(number)) == pytest.approx(number, rel=5.01e-3)
