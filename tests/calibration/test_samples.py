import numpy as np
import pytest

from bitwright.calibration.feeds import InputSpec, input_specs
from bitwright.calibration.samples import open_samples
from bitwright.errors import SampleError, UsageError
from bitwright.graph.text import parse

F32 = np.dtype(np.float32)
X = np.arange(5 * 3, dtype=np.float32).reshape(5, 3)
ONE = [InputSpec("x", F32, ("N", 3))]
TWO = [InputSpec("a", F32, ("N", 3)), InputSpec("b", np.dtype(np.int64), ("N",))]


class Reader:
    """As ONNX Runtime's CalibrationDataReader."""

    def __init__(self):
        self._rows = iter(X)

    def get_next(self):
        row = next(self._rows, None)
        return None if row is None else {"x": row[None]}


class Tensor:
    """As a torch tensor on another device that asks for a gradient."""

    def __init__(self, array):
        self._array = array
        self.shape, self.dtype = array.shape, array.dtype

    def detach(self):
        return self

    cpu = detach

    def numpy(self):
        return self._array

    def __len__(self):
        return len(self._array)


class Loader:
    """As a torch DataLoader of (x, y) batches."""

    def __iter__(self):
        for row in X:
            yield Tensor(row[None]), Tensor(np.int64([row[0]]))

    def __len__(self):
        return 5


FORMS = {
    "array": lambda: X,
    "float64 array": lambda: X.astype(np.float64),
    "integer array": lambda: X.astype(np.uint8),
    "batches in one array": lambda: X[:, None],
    "tensor": lambda: Tensor(X),
    "dict of arrays": lambda: {"x": X},
    "list of arrays": lambda: [row[None] for row in X],
    "list without batch dimension": lambda: list(X),
    "list of numbers in lists": lambda: X.tolist(),
    "tuple of arrays": lambda: tuple(X),
    "list of dicts": lambda: [{"x": row} for row in X],
    "list of (x, y)": lambda: [(row, int(row[0])) for row in X],
    "list of [array]": lambda: [[row[None]] for row in X],
    "list of dicts with labels": lambda: [{"x": row, "label": 1} for row in X],
    "(x, y) arrays": lambda: (X, np.arange(5)),
    "generator": lambda: (row for row in X),
    "generator of lists": lambda: ([row[None]] for row in X),
    "callable": lambda: lambda: ([row] for row in X),
    "callable giving a list": lambda: lambda: list(X),
    "data reader": Reader,
    "data loader": Loader,
}


def rows(samples):
    return [(index, feeds["x"].tolist()) for index, feeds in samples]


@pytest.mark.parametrize("form", FORMS)
def test_samples_read_every_form(form):
    """Each form gives the five rows as float32 batches of one, numbered from 0."""
    samples = open_samples(FORMS[form](), ONE)
    read = list(samples)

    assert [(i, [row]) for i, row in enumerate(X.tolist())] == [(i, f["x"].tolist()) for i, f in read]
    assert all(feeds["x"].dtype == np.float32 for _, feeds in read)


@pytest.mark.parametrize("form", ["array", "list of arrays", "callable", "data loader", "dict of arrays"])
def test_samples_can_be_read_again(form):
    """What can begin anew gives the same samples twice."""
    samples = open_samples(FORMS[form](), ONE)

    assert rows(samples) == rows(samples)


@pytest.mark.parametrize("form", ["generator", "data reader"])
def test_samples_read_to_their_end_say_so(form):
    """A generator cannot be read twice, and is not silently empty."""
    samples = open_samples(FORMS[form](), ONE)
    list(samples)

    with pytest.raises(SampleError, match="read to its end"):
        list(samples)


@pytest.mark.parametrize("form", ["list of (x, y)", "(x, y) arrays", "data loader"])
def test_samples_keep_labels(form):
    """The labels stand in the order of the samples once they were read."""
    samples = open_samples(FORMS[form](), ONE)
    list(samples)

    assert len(samples.labels) == 5
    assert samples.labels == sorted(samples.labels)


def test_samples_of_two_inputs_go_by_name_or_position():
    """Dicts, dicts of arrays, and lists in the order of the inputs agree."""
    ids = np.arange(5)
    forms = [
        {"b": ids, "a": X},
        [{"a": X[i], "b": ids[i : i + 1]} for i in range(5)],
        [[X[i : i + 1], ids[i : i + 1].astype(np.int32)] for i in range(5)],
        [(X[i : i + 1], ids[i : i + 1], 7) for i in range(5)],
    ]
    read = [[(i, {n: v.tolist() for n, v in f.items()}) for i, f in open_samples(form, TWO)] for form in forms]

    assert all(read[0] == other for other in read)
    assert read[0][4] == (4, {"a": [[12.0, 13.0, 14.0]], "b": [4]})


def test_samples_fill_a_fixed_batch():
    """A model with a batch of 2 takes rows two by two; the odd one is left out."""
    samples = open_samples(X, [InputSpec("x", F32, (2, 3))])

    assert [feeds["x"].shape for _, feeds in samples] == [(2, 3), (2, 3)]


def test_samples_are_drawn_evenly_and_seeded():
    """Fewer samples than there are come from all over, the same ones each time."""
    x = np.arange(1000, dtype=np.float32).reshape(1000, 1)
    spec = [InputSpec("x", F32, ("N", 1))]
    drawn, again, other = ([f["x"].item() for _, f in open_samples(x, spec, samples=10, seed=s)] for s in (0, 0, 1))

    assert drawn == again != other
    assert [int(v) // 100 for v in drawn] == list(range(10))


def test_samples_of_a_labelled_table_are_drawn_over_the_classes():
    """Of labels in blocks, each class gives its share."""
    labels = np.repeat([0, 1, 2, 3, 4], 20)
    samples = open_samples((np.zeros((100, 3), np.float32), labels), ONE, samples=10)

    assert sorted(samples.labels) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_samples_of_a_stream_stop_early():
    """A stream gives its first samples, and the rest is never made."""
    made = []

    def stream():
        for row in X:
            made.append(row)
            yield row

    assert len(list(open_samples(stream, ONE, samples=2))) == 2
    assert len(made) == 2


@pytest.mark.parametrize("form", ["array", "callable", "data loader"])
def test_shards_are_all_the_samples_with_their_indices(form):
    """Two shards together hold every sample once, numbered as in the whole."""
    samples = open_samples(FORMS[form](), ONE)
    parts = [open_samples(FORMS[form](), ONE).shard(i, 2) for i in range(2)]

    assert rows(samples) == sorted(rows(parts[0]) + rows(parts[1]))
    with pytest.raises(UsageError, match="no shard 2 of 2"):
        samples.shard(2, 2)


def test_input_specs_leave_out_initializers():
    """Graph inputs that have a default value need not be fed."""
    model = parse("""<ir_version: 10, opset_import: ["": 21]>
    g (float[N, 3] x, float[3] w, int64 n) => (float[N, 3] y) <float[3] w = {1, 2, 3}> { y = Mul(x, w) }""")

    assert list(map(str, input_specs(model))) == ["'x' float32[N, 3]", "'n' int64[]"]


BAD = {
    "unknown name": ([{"z": X[0]}], "no input of the model by the name 'z'"),
    "missing name": ([{}], "sample 0 lacks input 'x'"),
    "shape": ([X[0], X[0, :2]], r"sample 1, input 'x': the shape is \[1, 2\]"),
    "rank": ([X[None, None]], r"the shape is \[1, 1, 5, 3\]"),
    "text": ([np.array(["a", "b", "c"])], "the type is <U1, the model takes float32"),
    "complex": ([X[0] * 1j], "the type is complex"),
    "ragged": ([[1.0, [2.0]]], "not an array"),
    "NaN": ([X[0], X[1], X[2], np.float32([1, np.nan, np.nan])], "sample 3, input 'x': 2 values are NaN"),
    "Inf": ([np.float32([1, 2, np.inf])], "1 value is infinite"),
    "beyond float32": ([np.float64([1, 2, 1e300])], "1 value is infinite"),
    "too many": ([[X[0], X[0], X[0]]], "sample 0 holds 3 arrays, the model has 1 inputs"),
    "empty list": ([], "there are no samples"),
    "empty array": (X[:0], "there are no samples"),
    "empty generator": (iter([]), "there are no samples"),
    "empty dict": ({}, "there are no samples"),
    "path": ("samples.npy", "is no samples"),
    "number": (3, "cannot be read from int"),
    "function of nothing": (lambda: None, "returned NoneType"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_samples_are_named(case):
    """Each error tells which sample and which input, what is wrong, and what to do."""
    source, message = BAD[case]

    with pytest.raises(SampleError, match=message) as error:
        list(open_samples(source, ONE))
    assert error.value.next


def test_integers_that_do_not_fit_are_refused():
    """Token ids convert exactly or not at all; floats never become ids."""
    ids = [InputSpec("x", np.dtype(np.int32), ("N",))]

    assert [f["x"].dtype for _, f in open_samples([np.int64([7])], ids)] == [np.int32]
    with pytest.raises(SampleError, match="do not fit int32"):
        list(open_samples([np.int64([1 << 40])], ids))
    with pytest.raises(SampleError, match="the type is float32"):
        list(open_samples([np.float32([1.0])], ids))


def test_swapped_layout_is_recognized():
    """An NHWC picture for an NCHW model is told how to be turned."""
    with pytest.raises(SampleError) as error:
        list(open_samples([np.zeros((1, 8, 9, 3))], [InputSpec("x", F32, ("N", 3, 8, 9))]))
    assert "transpose NHWC to NCHW" in error.value.next


def test_inputs_of_different_lengths_are_refused():
    """A dict of arrays must have one first axis."""
    with pytest.raises(SampleError, match="'a' 5, 'b' 4"):
        open_samples({"a": X, "b": np.arange(4)}, TWO)
    with pytest.raises(SampleError, match="one array for a model with 2 inputs"):
        open_samples(X, TWO)
    with pytest.raises(UsageError, match="at least one"):
        open_samples(X, ONE, samples=0)
