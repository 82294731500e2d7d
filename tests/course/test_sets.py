"""Every problem set keeps its promises: solutions, untouched copy, wrong answers, mutants, times and memory."""

import pytest

from course import check, sources

SETS = sources.available()
#: Mutants of a set that are tried here; `python -m course.check` tries them all.
MOST = 60


@pytest.mark.parametrize("name", SETS)
def test_a_source_keeps_the_format_and_its_stubs_raise_nothing_but_not_implemented(name):
    problem_set = sources.load(name)
    for cell in problem_set.for_students().cells:
        if cell.is_answer:
            assert "raise NotImplementedError" in cell.text
            assert cell.text.count("raise ") == cell.text.count("raise NotImplementedError")


@pytest.mark.course
@pytest.mark.parametrize("name", SETS)
def test_solutions_earn_all_the_untouched_copy_none_and_wrong_answers_lose_what_they_should(name):
    said = []
    assert list(check.problems(sources.load(name), mutants=False, say=said.append)) == [], "\n".join(said)


@pytest.mark.course
@pytest.mark.parametrize("name", SETS)
def test_hidden_tests_notice_nine_in_ten_mutants_of_the_solutions(name):
    alive, tried = check.survivors(sources.load(name), most=MOST)
    assert tried - len(alive) >= check.KILLED * tried, "\n".join(alive)


def test_a_check_tells_what_is_wrong_with_a_set(sample, monkeypatch):
    good = list(check.problems(sample, say=str))
    assert good == []
    entry = {"name": "harmless", "cells": {"gram": sample.by_id["gram"].text}, "loses": {"gram-test": 5}}
    monkeypatch.setattr(check, "wrong", lambda _: [entry])
    found = list(check.problems(sample, mutants=False, say=str))
    assert found == [
        "at least 4 wrong submissions are needed, got 1",
        "wrong submission 'harmless' loses {}, not {'gram-test': 5}",
    ]
