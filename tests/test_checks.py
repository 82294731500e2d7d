import pickle
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from gdln import checks

MATRIX = np.array([[1.0, 2.0], [3.0, 4.0]])


@pytest.mark.parametrize(
    "x",
    [
        MATRIX,
        MATRIX.tolist(),
        MATRIX.astype(np.float32),
        MATRIX.astype(">f8"),
        MATRIX.astype(np.int8),
        MATRIX.astype(object),
        np.asfortranarray(MATRIX),
        np.repeat(MATRIX, 2, axis=1)[:, ::2],
        MATRIX[::-1][::-1],
        np.matrix(MATRIX),
        pd.DataFrame(MATRIX),
        [[1, Fraction(2)], [3.0, np.float32(4)]],
        [MATRIX[0], pd.Series(MATRIX[1])],
    ],
)
def test_numbers_of_any_origin_become_the_same_native_doubles(x):
    found = checks.array("X", x, shape=("n", "n"))
    assert type(found) is np.ndarray and found.dtype == np.float64 and found.dtype.isnative
    np.testing.assert_array_equal(found, MATRIX)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "int64", "bool"])
def test_tensors_become_arrays_with_gradients_and_in_lists_too(dtype):
    torch = pytest.importorskip("torch")
    tensor = torch.ones(2, 2).to(getattr(torch, dtype))
    if tensor.is_floating_point():
        tensor.requires_grad_()
    np.testing.assert_array_equal(checks.array("X", tensor), np.ones((2, 2)))
    np.testing.assert_array_equal(checks.array("X", [tensor[0], tensor[1]]), np.ones((2, 2)))
    with pytest.raises(TypeError, match="X needs a dense tensor"):
        checks.array("X", torch.ones(2, 2).to_sparse())
    assert checks.number("T", torch.tensor(0.5)) == 0.5 and checks.count("n", torch.tensor(3)) == 3


@pytest.mark.parametrize("x", [MATRIX, MATRIX.tolist(), MATRIX.astype(int)])
def test_what_a_check_returns_cannot_change_what_came(x):
    before = np.array(x)
    with pytest.raises(ValueError, match="read-only"):
        checks.array("X", x)[0, 0] = 9
    own = checks.array("X", x, copy=True)
    own[0, 0] = 9
    np.testing.assert_array_equal(x, before)
    assert not isinstance(x, np.ndarray) or x.flags.writeable


def test_a_large_array_is_not_copied_unless_asked():
    X = np.zeros((100, 100))
    assert np.shares_memory(checks.array("X", X), X) and not np.shares_memory(
        checks.array("X", X, copy=True), X
    )


@pytest.mark.parametrize(
    "x, error, what",
    [
        (None, TypeError, "None"),
        ("12", TypeError, "str '12'"),
        (["1", "2"], TypeError, "<U1"),
        ([1, "2"], TypeError, "<U"),
        ([1.0, None], TypeError, "None among them"),
        ([1.0, 2j], TypeError, "complex128"),
        (np.array(["2020-01-01"], dtype="M8[D]"), TypeError, "datetime64"),
        ({"a": 1}, TypeError, "dict|'a'"),
        (iter([1.0]), TypeError, "iterator"),
        (len, TypeError, "len"),
        (sparse.eye(2), TypeError, "sparse matrix"),
        (np.ma.masked_array([1.0, 2.0], [True, False]), TypeError, "masked array"),
        (pd.DataFrame({"a": [1.0], "b": ["x"]}), TypeError, "str 'x' among them"),
        ([[1.0, 2.0], [3.0]], ValueError, "rows of equal length"),
        ([1.0, [2.0]], ValueError, "rows of equal length"),
        ([1.0, np.nan], ValueError, "NaN in 1 of 2 elements"),
        (np.array([np.inf, 1, -np.inf]), ValueError, "infinity in 2 of 3 elements"),
        (np.nan, ValueError, "got NaN"),
        ([10**400], ValueError, "float64 can hold"),
        ([], ValueError, r"at least one element, got an array of shape \(0,\)"),
        (np.empty((3, 0)), ValueError, r"\(3, 0\)"),
    ],
)
def test_what_holds_no_finite_numbers_is_refused_with_name_and_reason(x, error, what):
    with pytest.raises(error, match=f"^X needs .*({what})"):
        checks.array("X", x)


def test_emptiness_and_infinity_pass_only_where_they_are_asked_for():
    assert checks.array("X", [], empty=True).shape == (0,)
    assert np.isinf(checks.array("X", [np.inf], finite=False)).all()
    with pytest.raises(TypeError, match="None"):
        checks.array("X", [None], finite=False)


@pytest.mark.parametrize(
    "options, shape, fits",
    [
        ({"ndim": 2}, (2, 3), True),
        ({"ndim": 2}, (6,), False),
        ({"ndim": (1, 2)}, (6,), True),
        ({"ndim": (1, 2)}, (), False),
        ({"shape": (2, 3)}, (2, 3), True),
        ({"shape": (3, 2)}, (2, 3), False),
        ({"shape": (None, 3)}, (2, 3), True),
        ({"shape": (None, 3)}, (2, 2), False),
        ({"shape": (None, 3)}, (3,), False),
        ({"shape": ("n", "n")}, (3, 3), True),
        ({"shape": ("n", "n")}, (3, 2), False),
        ({"shape": ("n", "m")}, (3, 2), True),
        ({"shape": (..., 3)}, (3,), True),
        ({"shape": (..., 3)}, (5, 4, 3), True),
        ({"shape": (..., 3)}, (3, 4), False),
        ({"shape": (..., 3)}, (), False),
        ({"shape": ()}, (), True),
        ({"shape": ()}, (1,), False),
    ],
)
def test_shapes_are_held_against_lengths_words_and_gaps(options, shape, fits):
    if fits:
        assert checks.array("X", np.ones(shape), **options).shape == shape
    else:
        with pytest.raises(ValueError, match="^X needs"):
            checks.array("X", np.ones(shape), **options)


def test_integers_are_neither_fractions_nor_booleans():
    for x in ([1, 2], np.array([1, 2], dtype=np.uint8), pd.Series([1, 2])):
        found = checks.array("labels", x, dtype=int)
        assert found.dtype == np.int64 and found.tolist() == [1, 2]
    assert checks.array("labels", [], dtype=int, empty=True).dtype == np.int64
    for x in ([1.0, 2.0], [True, False], ["1"], [1 + 0j]):
        with pytest.raises(TypeError, match="labels needs integers"):
            checks.array("labels", x, dtype=int)
    with pytest.raises(ValueError, match="64 bits"):
        checks.array("labels", np.array([2**64 - 1], dtype=np.uint64), dtype=int)


def test_masks_are_booleans_or_zeros_and_ones():
    for x in ([True, False], [1, 0], [1.0, 0.0]):
        assert checks.array("mask", x, dtype=bool).tolist() == [True, False]
    for x in ([1, 2], [0.5], [np.nan]):
        with pytest.raises(ValueError, match="^mask needs"):
            checks.array("mask", x, dtype=bool)
    with pytest.raises(TypeError, match="mask needs booleans"):
        checks.array("mask", ["no", "yes"], dtype=bool)


@pytest.mark.parametrize(
    "bound, passes, fails",
    [("above", 1.1, 1.0), ("least", 1.0, 0.9), ("below", 0.9, 1.0), ("most", 1.0, 1.1)],
)
def test_both_sides_of_every_bound(bound, passes, fails):
    assert checks.array("x", [passes], **{bound: 1}) == checks.number("x", passes, **{bound: 1}) == passes
    for check in (
        lambda x: checks.array("x", [x], **{bound: 1}),
        lambda x: checks.number("x", x, **{bound: 1}),
    ):
        for wrong in (fails, np.nan):
            with pytest.raises(ValueError, match="^x needs"):
                check(wrong)
    with pytest.raises(ValueError, match=r"x needs numbers (above|of at least|below|of at most) 1, got nan"):
        checks.array("x", [np.nan], finite=False, **{bound: 1})


def test_a_whole_number_beyond_a_large_bound_is_told_with_all_its_digits():
    with pytest.raises(
        ValueError, match="^x needs a whole number of at least 1 and of at most 10000000, got 10000001"
    ):
        checks.count("x", 10**7 + 1, most=10**7)
    with pytest.raises(ValueError, match="^x needs numbers of at most 10000000, got 10000001$"):
        checks.array("x", [10**7 + 1], dtype=int, most=10**7)
    with pytest.raises(ValueError, match="^x needs numbers of at most 0.5, got 1.23457e[+]07$"):
        checks.array("x", [12345678.9], most=0.5)


@pytest.mark.parametrize("x", [1, 1.0, np.float32(1), np.int8(1), np.array(1), Fraction(1)])
def test_a_number_becomes_a_float(x):
    assert type(checks.number("x", x)) is float and checks.positive("x", x) == 1


@pytest.mark.parametrize("x", [True, np.True_, "1", None, 1j, [1.0], np.ones(1), np.array("1"), {}, len])
def test_what_is_no_single_real_number_is_refused(x):
    for check in (checks.number, checks.positive, checks.nonnegative):
        with pytest.raises(TypeError, match="^lr needs a number.*, got"):
            check("lr", x)


def test_positive_and_nonnegative_part_at_zero_and_infinity_needs_leave():
    assert checks.nonnegative("x", 0) == 0 and checks.nonnegative("x", -0.0) == 0
    with pytest.raises(ValueError, match="x needs a number above 0, got int 0"):
        checks.positive("x", 0)
    for check in (checks.positive, checks.nonnegative):
        assert check("x", np.inf, infinite=True) == np.inf
        for wrong in (np.inf, -np.inf, np.nan, -1e-300, 10**400):
            with pytest.raises(ValueError, match="^x needs a"):
                check("x", wrong)


@pytest.mark.parametrize(
    "n", [2.5, 3.0, np.float64(3), True, np.True_, "3", None, [3], np.array([3]), 3 + 0j]
)
def test_only_integers_count(n):
    with pytest.raises(TypeError, match="n_gates needs a whole number of at least 1, got"):
        checks.count("n_gates", n)


def test_counts_keep_their_bounds():
    for n in (1, np.int32(1), np.uint8(1), np.array(1)):
        assert checks.count("n", n) == 1 and type(checks.count("n", n)) is int
    assert checks.count("n", 0, least=0) == 0 and checks.count("n", -3, least=None) == -3
    for wrong, options in ((0, {}), (-1, {"least": 0}), (4, {"most": 3})):
        with pytest.raises(ValueError, match=f"n needs a whole number .*, got {wrong}"):
            checks.count("n", wrong, **options)


def test_a_choice_lists_what_there_is_and_the_nearest_word():
    rules = ("align_zero", "align_ada")
    assert checks.choice("rule", "align_ada", rules) == "align_ada"
    assert checks.choice("loss", None, (None, "squared")) is None
    with pytest.raises(
        ValueError, match=r"rule needs one of 'align_zero', 'align_ada' \(did you mean 'align_zero'"
    ):
        checks.choice("rule", "algin_zero", rules)
    for wrong in (3, None, ["align_zero"], np.array(["align_zero", "align_ada"]), "x"):
        with pytest.raises(ValueError, match="rule needs one of 'align_zero', 'align_ada', got"):
            checks.choice("rule", wrong, rules)
    with pytest.raises(ValueError, match="depth needs one of 1, 2, got str '1'"):
        checks.choice("depth", "1", (1, 2))


@pytest.mark.parametrize("wrong", [0, None, np.int64(3), "0", np.random.RandomState(0), np.random])
def test_a_seed_is_no_generator(wrong):
    rng = np.random.default_rng(0)
    assert checks.generator("rng", rng) is rng
    with pytest.raises(
        TypeError, match=r"rng needs a numpy.random.Generator such as numpy.random.default_rng\(0\)"
    ):
        checks.generator("rng", wrong)
    with pytest.raises(
        TypeError, match=r"rng needs a torch.Generator such as torch.Generator\(\).manual_seed\(0\)"
    ):
        checks.torch_generator("rng", wrong)


def test_a_device_is_one_that_computes_here():
    torch = pytest.importorskip("torch")
    for device in ("cpu", torch.device("cpu")):
        assert checks.torch_device("device", device) == torch.device("cpu")
    for wrong in (None, 0, 1.5, ["cpu"], torch.float64):
        with pytest.raises(TypeError, match="^device needs a torch.device or its name, such as 'cpu', got"):
            checks.torch_device("device", wrong)
    # one that torch does not know, one without numbers, a card that nobody has, and no name at all
    for wrong in ("gpu", "meta", torch.device("meta"), "cuda:99", ""):
        with pytest.raises(
            ValueError, match=rf"^device needs one of the devices here, \['cpu'.*, got '{wrong}'"
        ):
            checks.torch_device("device", wrong)


def test_only_types_and_tensors_of_torch_with_fractions_are_floating():
    torch = pytest.importorskip("torch")
    for dtype in (torch.float16, torch.float32, torch.float64):
        assert checks.torch_dtype("dtype", dtype) is dtype
        tensor = torch.ones(2, dtype=dtype)
        assert checks.floating("weights", tensor) is tensor
    for wrong in (
        torch.int64,
        torch.bool,
        torch.complex64,
        float,
        np.float64,
        np.dtype(float),
        "float64",
        None,
    ):
        with pytest.raises(TypeError, match="^dtype needs a floating-point torch.dtype, got"):
            checks.torch_dtype("dtype", wrong)
    for wrong in (torch.ones(2, dtype=torch.int64), torch.ones(2, dtype=torch.complex64)):
        with pytest.raises(
            TypeError, match="^weights needs floating-point numbers, got elements of type torch"
        ):
            checks.floating("weights", wrong)
    for wrong in (np.ones(2), [1.0], 1.0, None, torch.float64):
        with pytest.raises(TypeError, match="^weights needs a Tensor, got"):
            checks.floating("weights", wrong)


def test_a_dict_has_one_entry_for_each_and_no_other():
    given = {"b": 1, "a": 2}
    assert checks.entries("inputs", given, ("a", "b"), "nodes") is given
    words = r"^inputs needs one entry for each of the nodes \['a', 'b'\], got "
    for wrong, came in (
        ({"a": 1}, r"none for \['b'\]$"),
        ({**given, 3: 1}, r"one for \[3\]$"),
        ({"a": 1, "c": 1}, r"none for \['b'\] and one for \['c'\]$"),
    ):
        with pytest.raises(ValueError, match=words + came):
            checks.entries("inputs", wrong, ("a", "b"), "nodes")
    with pytest.raises(TypeError, match=r"^inputs needs a dict, got \['a', 'b'\]"):
        checks.entries("inputs", ["a", "b"], ("a", "b"), "nodes")


def test_generators_of_numpy_and_torch_do_not_stand_for_each_other():
    torch = pytest.importorskip("torch")
    source = torch.Generator()
    assert checks.torch_generator("generator", source) is source
    with pytest.raises(TypeError, match="got a torch.Generator"):
        checks.generator("rng", source)
    with pytest.raises(TypeError, match="got a numpy.random.Generator"):
        checks.torch_generator("generator", np.random.default_rng(0))


def test_times_start_at_zero_and_may_be_ordered_or_infinite():
    np.testing.assert_array_equal(checks.times("times", [2, 0, 1]), [2, 0, 1])
    assert checks.times("times", np.inf, infinite=True) == np.inf
    assert checks.times("times", [0, 1, 1, np.inf], infinite=True, ordered=True).size == 4
    for wrong, options in (
        ([-1], {}),
        ([np.nan], {"infinite": True}),
        ([np.inf], {}),
        ([], {}),
        (1.0, {"ndim": 1}),
    ):
        with pytest.raises(ValueError, match="^times needs"):
            checks.times("times", wrong, **options)
    assert checks.times("times", [-2, 1], ordered=True, least=None)[0] == -2
    with pytest.raises(ValueError, match="times that do not decrease, got 1 after 3"):
        checks.times("times", [0, 3, 1, 0.5], ordered=True)


@pytest.mark.parametrize("scale", [1e-300, 1e-8, 1.0, 1e8, 1e300])
def test_kernels_are_judged_alike_at_every_scale(scale):
    rng = np.random.default_rng(0)
    A = rng.standard_normal((6, 3))
    K = A @ A.T  # singular, so that rounding makes eigenvalues slightly negative
    for check in (checks.symmetric, checks.psd):
        np.testing.assert_array_equal(check("K", scale * K), scale * K)
    skew = K.copy()
    skew[0, 1] += 1e-6 * np.abs(K).max()
    for check in (checks.symmetric, checks.psd):
        with pytest.raises(ValueError, match="K needs a symmetric matrix"):
            check("K", scale * skew)
    indefinite = K - 1e-3 * np.abs(K).max() * np.eye(6)
    checks.symmetric("K", scale * indefinite)
    with pytest.raises(ValueError, match="K needs eigenvalues of at least zero, got -"):
        checks.psd("K", scale * indefinite)


def test_zero_and_single_kernels_pass_and_other_shapes_do_not():
    for K in (np.zeros((3, 3)), [[0.0]], [[2.0]]):
        checks.psd("K", K)
    for wrong in (np.ones(3), np.ones((2, 3)), np.ones((2, 2, 2)), 1.0, np.empty((0, 0))):
        for check in (checks.square, checks.symmetric, checks.psd):
            with pytest.raises(ValueError, match="^K needs"):
                check("K", wrong)
    with pytest.raises(ValueError, match="K needs a symmetric matrix"):
        checks.symmetric("K", [[1.0, 1.7e308], [-1.7e308, 1.0]])


def test_probabilities_lie_between_zero_and_one_and_may_have_a_sum():
    third = np.full((2, 3), 1 / 3, dtype=np.float32)
    np.testing.assert_array_equal(checks.probabilities("p", third, total=1), third)
    np.testing.assert_array_equal(checks.probabilities("p", [0, 1]), [0, 1])
    for wrong in ([-1e-9], [1.1], [np.nan], []):
        with pytest.raises(ValueError, match="^p needs"):
            checks.probabilities("p", wrong)
    with pytest.raises(ValueError, match="sum to 1, got a sum of 0.8"):
        checks.probabilities("p", [[0.5, 0.5], [0.4, 0.4]], total=1)


def test_objects_and_functions_are_named_by_their_kind():
    assert checks.instance("task", {}, (dict, list)) == {} and checks.function("slope", len) is len
    with pytest.raises(TypeError, match="task needs a dict or a list, got int 3"):
        checks.instance("task", 3, (dict, list))
    with pytest.raises(TypeError, match="slope needs a function, got an array of shape"):
        checks.function("slope", np.ones(2))
    with pytest.raises(ValueError, match="width needs an even number, got int 3"):
        checks.need(False, "width", "an even number", 3)
    checks.need(True, "width", "an even number", 4)


def test_a_run_that_diverges_carries_its_time_or_step_through_a_worker():
    checks.still_finite(np.ones(3), time=1.0)
    with pytest.raises(checks.Diverged, match=r"^the loss diverged at t=0.25$") as caught:
        checks.still_finite([1.0, np.nan], "the loss", time=0.25)
    assert (caught.value.time, caught.value.step) == (0.25, None)
    with pytest.raises(FloatingPointError, match="the state diverged at step 7") as caught:
        checks.still_finite(np.inf, step=7)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert type(copy) is checks.Diverged and str(copy) == str(caught.value) and copy.step == 7


@pytest.mark.parametrize(
    "value, words",
    [
        (None, "None"),
        (3, "int 3"),
        ("x" * 100, "str '" + "x" * 56 + "..."),
        (np.ones((2, 3)), "an array of shape (2, 3)"),
        (pd.DataFrame(np.ones((2, 3))), "a DataFrame of shape (2, 3)"),
        (np.float32(2), "float32 2.0"),
        ([1, 2], "[1, 2]"),
        (list(range(1000)), "a list of 1000 elements"),
        (object(), "an object of type object"),
        (np.float64, "float64"),  # a class, whose shape is none yet
    ],
)
def test_values_are_described_in_a_few_words(value, words):
    assert checks.described(value) == words
