import gzip
import zipfile

import numpy as np
import pytest
from PIL import Image

from bitwright.calibration.feeds import InputSpec
from bitwright.calibration.files import open_path
from bitwright.calibration.members import class_labels
from bitwright.errors import SampleError, UsageError

F32 = np.dtype(np.float32)
PICTURE = [InputSpec("x", F32, ("N", 3, 4, 6))]
ROWS = [InputSpec("x", F32, ("N", 3))]
X = np.arange(15, dtype=np.float32).reshape(5, 3)


def picture(value, size=(6, 4), mode="RGB"):
    return Image.new(mode, size, (value, 2 * value, 3 * value) if mode == "RGB" else value)


@pytest.fixture
def folder(tmp_path):
    """Three classes of four pictures; the red of a picture tells class and number."""
    for c, name in enumerate(["cat", "ant", "dog"]):
        (tmp_path / "all/train" / name).mkdir(parents=True)
        for i in range(4):
            picture(10 * c + i).save(tmp_path / "all/train" / name / f"{i}.png")
    (tmp_path / "all/train/cat/.hidden.png").write_bytes(b"not a picture")
    return tmp_path / "all"


@pytest.fixture
def archive(folder, tmp_path):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as target:
        for path in sorted(folder.rglob("*.png")):
            target.write(path, path.relative_to(folder))
    return tmp_path / "all.zip"


def reds(samples):
    return [int(feeds["x"][0, 0, 0, 0]) for _, feeds in samples]


@pytest.mark.parametrize("kind", ["folder", "archive"])
def test_pictures_in_class_folders_get_labels(kind, request):
    """Labels count the classes in alphabetical order, and belong to their pictures."""
    samples = open_path(request.getfixturevalue(kind), PICTURE)

    assert samples.length == 12
    assert sorted(reds(samples)) == [0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23]
    assert [[1, 0, 2][red // 10] for red in reds(samples)] == samples.labels


def test_fewer_pictures_are_drawn_over_the_classes(archive):
    """Six of twelve are two of each class, the same for the same seed; every stretch holds all classes."""
    first, again = (open_path(archive, PICTURE, samples=6) for _ in range(2))

    assert reds(first) == reds(again)
    assert sorted(first.labels[:3]) == sorted(first.labels[3:]) == [0, 1, 2]
    assert reds(first) != reds(open_path(archive, PICTURE, samples=6, seed=1))


def test_shards_of_a_folder_are_its_samples(archive):
    """Shards keep the indices and labels of the whole."""
    whole = open_path(archive, PICTURE, samples=10)
    parts = [open_path(archive, PICTURE, samples=10, shard=(i, 3)) for i in range(3)]

    assert [i for part in parts for i, _ in part] == list(range(10))
    assert [red for part in parts for red in reds(part)] == reds(whole)
    assert [label for part in parts for label in part.labels] == whole.labels
    with pytest.raises(SampleError, match="has no samples"):
        open_path(archive, PICTURE, samples=1, shard=(0, 2))


def test_pictures_of_one_folder_have_no_labels(folder):
    """Without sub-folders there are no classes."""
    assert open_path(folder / "train/cat", PICTURE).labels is None
    assert class_labels(["a.png", "x/b.png"]) is None


def test_pictures_fill_a_fixed_batch(archive):
    """A model with a batch of 5 takes pictures five by five, with five labels."""
    samples = open_path(archive, [InputSpec("x", F32, (5, 3, 4, 6))])

    assert [feeds["x"].shape for _, feeds in samples] == [(5, 3, 4, 6)] * 2
    assert [label.shape for label in samples.labels] == [(5,), (5,)]


@pytest.mark.parametrize("kind", ["folder", "archive"])
def test_broken_picture_is_named(kind, folder, request):
    """A picture that cannot be decoded is named, with what holds it."""
    path = folder / "train/dog/2.png"
    path.write_bytes(path.read_bytes()[:40])

    with pytest.raises(SampleError, match="broken picture") as error:
        list(open_path(request.getfixturevalue(kind), PICTURE))
    assert "train/dog/2.png" in error.value.where


def test_arrays_in_npy_and_npz(tmp_path):
    """One array, arrays by name, one array by another name, labels beside it."""
    np.save(tmp_path / "x.npy", X)
    np.savez(tmp_path / "named.npz", x=X)
    np.savez(tmp_path / "other.npz", mfcc=X.astype(np.int8), label=np.arange(5))
    read = [[f["x"].tolist() for _, f in open_path(p, ROWS)] for p in sorted(tmp_path.glob("*.np?"))]

    assert [[[row] for row in X.tolist()]] * 3 == read
    assert list(range(5)) == open_path(tmp_path / "other.npz", ROWS).labels


def test_stored_arrays_are_rescaled(tmp_path):
    """(x * scale - mean) / std applies to stored arrays too, as MLPerf Tiny's features need."""
    np.savez(tmp_path / "kws.npz", mfcc=np.int8([[83, 84, 73]]))
    (_, feeds), *_ = open_path(tmp_path / "kws.npz", ROWS, preprocess="mean=83 std=1/0.5847029")

    np.testing.assert_allclose(feeds["x"], [[0.0, 0.5847029, -5.847029]], rtol=1e-6)


def test_folder_of_arrays(tmp_path):
    """Each .npy is a sample; pictures beside them are refused."""
    for i in range(3):
        np.save(tmp_path / f"{i}.npy", X[i])

    assert [f["x"].tolist() for _, f in open_path(tmp_path, ROWS)] == [[row] for row in X[:3].tolist()]
    picture(1).save(tmp_path / "p.png")
    with pytest.raises(SampleError, match="both pictures and arrays"):
        open_path(tmp_path, ROWS)


def test_idx_files_with_their_labels(tmp_path):
    """MNIST's own files, labels found beside the images."""
    images = np.arange(3 * 4 * 4, dtype=np.uint8).reshape(3, 4, 4)
    header = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in images.shape)
    (tmp_path / "t-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + images.tobytes()))
    (tmp_path / "t-labels-idx1-ubyte.gz").write_bytes(gzip.compress(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 7, 9])))
    samples = open_path(tmp_path / "t-images-idx3-ubyte.gz", [InputSpec("x", F32, (1, 1, 4, 4))])

    assert sorted(f["x"].reshape(4, 4).tolist() for _, f in samples) == images.tolist()
    assert sorted(samples.labels) == [7, 7, 9]
    (tmp_path / "u-images-idx3-ubyte").write_bytes(header)
    with pytest.raises(SampleError, match="not an idx file"):
        open_path(tmp_path / "u-images-idx3-ubyte", [InputSpec("x", F32, (1, 1, 4, 4))])


def test_function_in_a_python_file(tmp_path):
    """A generator function is called anew each time; what it returns goes through all forms."""
    (tmp_path / "f.py").write_text(
        "import numpy as np\n"
        "def stream():\n    for i in range(3):\n        yield [np.full((1, 3), i, np.float32)]\n"
        "def whole():\n    return np.zeros((4, 3))\n"
        "def fails():\n    yield np.zeros(3)\n    raise KeyError('k')\n"
    )
    samples = open_path(f"{tmp_path}/f.py:stream", ROWS)

    assert [len(list(samples)), len(list(samples))] == [3, 3]
    assert open_path(f"{tmp_path}/f.py:whole", ROWS).length == 4
    with pytest.raises(SampleError, match="the function fails: KeyError"):
        list(open_path(f"{tmp_path}/f.py:fails", ROWS))
    with pytest.raises(UsageError, match="no function 'none'") as error:
        open_path(f"{tmp_path}/f.py:none", ROWS)
    assert "stream, whole, fails" in error.value.next


@pytest.mark.parametrize("name", ["none.npy", "f.py:g", "x.txt", "x.npy", "x.npz", "x.zip", "empty"])
def test_path_without_samples_is_an_error(name, tmp_path):
    """Nothing there, an unknown kind, a damaged file, an empty folder."""
    (tmp_path / "empty").mkdir()
    for damaged in ("x.txt", "x.npy", "x.npz", "x.zip"):
        (tmp_path / damaged).write_bytes(b"PK nothing")

    with pytest.raises(SampleError) as error:
        open_path(tmp_path / name, ROWS)
    assert error.value.where
    assert error.value.next


def test_npz_without_the_inputs_says_what_it_holds(tmp_path):
    """Two arrays, none by the name of an input."""
    np.savez(tmp_path / "x.npz", a=X, b=X)

    with pytest.raises(SampleError, match="holds 'a', 'b', none by the name"):
        open_path(tmp_path / "x.npz", ROWS)


def test_real_pictures_are_drawn_over_all_classes(shared):
    """CIFAR-10: 25 of 20 000 hold each class two or three times."""
    spec = [InputSpec("input", F32, ("N", 3, 32, 32))]
    samples = open_path(shared / "data/cifar10_train_20k.zip", spec, samples=25, preprocess="scale=1/255")

    assert set(np.bincount(samples.labels)) == {2, 3}
    assert all(0 <= feeds["input"].min() <= feeds["input"].max() <= 1 for _, feeds in samples)


def test_npy_rows_are_read_on_demand_and_not_kept(tmp_path):
    """The rows of a .npy file are those that were saved, and reading all of them one by one keeps none in memory."""
    import tracemalloc

    from bitwright.calibration.stored_array import StoredArray

    array = np.random.default_rng(0).standard_normal((64, 3, 64, 64)).astype(np.float32)
    path = tmp_path / "rows.npy"
    np.save(path, array)
    rows = StoredArray(np.load(path, mmap_mode="r"), path)
    tracemalloc.start()
    for i in range(64):
        np.testing.assert_array_equal(rows[i], array[i])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(rows[60:70], array[60:])
    assert peak < array.nbytes / 8
