"""Misspelled names: what is offered in their place."""

from bayeslaw.errors import meant, nearest


def test_nearest_is_likest_first_and_says_nothing_of_what_is_far():
    assert nearest("origns", ["only", "origins", "origin"]) == ["origins", "origin"]
    assert nearest("origns", ["only", "origins", "origin"], most=1) == ["origins"]
    assert nearest("zebra", ["only", "origins"]) == []


def test_nearest_disregards_capitals_and_underscores():
    assert nearest("LOOPED_TOTAL", ["looped-total", "chinchilla"]) == ["looped-total"]
    assert nearest("tissue", ["Tissue", "power law"]) == ["Tissue"]


def test_nearest_tells_each_name_once_and_all_that_are_spelled_alike():
    assert nearest("los", ["Loss", "loss", "loss"]) == ["Loss", "loss"]


def test_nearest_takes_what_is_no_text():
    assert nearest(10, [100, "a"]) == ["100"]


def test_meant_is_a_question_or_nothing():
    assert meant(["a", "b"]) == " Did you mean a or b?"
    assert meant(["a", "b"], "{!r}") == " Did you mean 'a' or 'b'?"
    assert meant(["fit"], "{}=") == " Did you mean fit=?"
    assert meant([]) == ""
