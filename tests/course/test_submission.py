"""A submission runs in a process of its own, which may hang, end or lie without touching this one."""

import numpy as np
import pytest

from course.submission import Ended, Failed, Function, Limits, Submission

QUICK = Limits(cell=1, call=1, test=20, total=60, output=1)


def opened(*texts, limits=QUICK):
    """Return a submission of these cells."""
    return Submission([(f"cell {i}", text) for i, text in enumerate(texts)], limits=limits)


def test_a_failing_cell_does_not_stop_the_later_ones():
    with opened("a = 1", "b = 1 / 0", "import b c", "c = a + 1") as submission:
        assert submission.value("c") == 2
        assert "ZeroDivisionError" in submission.faults["cell 1"] and "line 1" in submission.faults["cell 1"]
        assert "SyntaxError" in submission.faults["cell 2"]
        assert submission.kind("b") == "missing"


def test_functions_take_and_return_copies():
    with opened("def f(x, scale=1):\n    x *= scale\n    return x") as submission:
        submission.run()
        x = np.ones(3)
        assert np.array_equal(Function(submission, "f")(x, scale=2.0), [2, 2, 2])
        assert np.array_equal(x, [1, 1, 1])


def test_an_error_arrives_with_its_kind_and_message():
    with opened("class Mine(KeyError): pass", "def f(): raise Mine('no such mode')") as submission:
        submission.run()
        with pytest.raises(KeyError) as caught:
            submission.call("f", (), {})
        assert isinstance(caught.value, Failed) and "no such mode" in caught.value.args[0]


def test_an_error_that_ends_loops_does_not_end_those_of_a_test():
    with opened("def f(x): raise StopIteration('enough')") as submission:
        submission.run()
        with pytest.raises(Failed, match="StopIteration: enough"):
            list(map(Function(submission, "f"), [1.0, 2.0]))


DEAF = "import signal; signal.signal(signal.SIGALRM, signal.SIG_IGN)"


@pytest.mark.parametrize("cell", ["while True: pass", DEAF + "\nimport time\nwhile True: time.sleep(60)"])
def test_an_endless_cell_is_ended_and_the_others_still_count(cell):
    with opened("a = 1", cell, "b = 2") as submission:
        assert submission.value("a") + submission.value("b") == 3
        assert "took longer than 1 s" in submission.faults["cell 1"]


#: Writes into every open pipe, that of the replies among them.
FORGED = """
import os
for pipe in range(3, 20):
    try:
        os.write(pipe, b"x" * 4096)
    except OSError:
        pass
"""


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("import os; os._exit(0)", "ended the process"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "ended the process"),
        ("raise SystemExit", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("print('x' * 2**23)", "printed more than 1 MB"),
        (FORGED, "what came is"),
    ],
)
def test_what_ends_or_floods_the_process_costs_only_its_own_cell(cell, reason):
    with opened("a = 1", cell, "b = 2") as submission:
        assert submission.value("a") + submission.value("b") == 3
        assert reason in submission.faults["cell 1"]


def test_a_function_that_ends_the_process_fails_and_the_next_question_starts_afresh():
    with opened("import os\ndef f(): os._exit(0)\ndef g(): return 1") as submission:
        submission.run()
        with pytest.raises(Ended, match="`f` ended the process"):
            submission.call("f", (), {})
        with pytest.raises(Ended):
            submission.call("g", (), {})
        assert submission.kind("g") == "function" and submission.call("g", (), {}) == 1


def test_everything_together_has_a_limit_too():
    slow = ["import time; time.sleep(0.9)"] * 8
    with opened(*slow, "a = 1", limits=Limits(cell=1, call=1, total=2)) as submission, pytest.raises(Ended):
        submission.value("a")


@pytest.mark.parametrize(("cell", "kind"), [("f = 3", "value"), ("f = abs", "function"), ("", "missing")])
def test_a_name_is_a_function_a_value_or_missing(cell, kind):
    with opened(cell) as submission:
        assert submission.kind("f") == kind


def test_values_that_cannot_be_sent_say_so():
    with opened("a = {1, 2}", "def f(x): return iter(x)") as submission:
        with pytest.raises(Failed, match="`a`: a set came where only"):
            submission.value("a")
        with pytest.raises(Failed, match="`f`: a list_iterator came where only"):
            submission.call("f", ([1],), {})


def test_magics_display_and_reading_from_the_keyboard_do_as_in_a_graded_notebook():
    with opened("%matplotlib inline\n!ls\na = 1\ndisplay(a)", "input()") as submission:
        assert submission.value("a") == 1
        assert "EOFError" in submission.faults["cell 1"]


def test_what_an_endless_value_does_while_it_is_read_is_limited_too():
    lazy = "class L(list):\n    def __iter__(self):\n        while True: yield 1\na = L([1])\nb = 2"
    with opened(lazy) as submission:
        with pytest.raises(Failed):
            submission.value("a")
        assert submission.value("b") == 2


def test_the_memory_of_a_submission_is_its_own_and_not_that_of_the_process_that_started_it():
    held = np.ones(30_000_000)  # 240 MB here
    with Submission([("small", "value = 1")]) as small:
        assert small.memory() < 200
    with Submission([("large", "import numpy as np; value = np.ones(20_000_000).sum()")]) as large:
        assert 160 < large.memory() < 360  # 160 MB of numbers, and numpy
    assert held[-1] == 1
