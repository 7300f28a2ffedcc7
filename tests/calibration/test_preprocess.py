import numpy as np
import pytest
from PIL import Image

from bitwright.calibration.feeds import InputSpec
from bitwright.calibration.preprocess import parse_preprocess
from bitwright.errors import UsageError

F32 = np.dtype(np.float32)


def spec(*shape):
    return InputSpec("x", F32, shape)


def gradient(height, width):
    """Red counts rows, green counts columns, blue is 7."""
    rows, columns = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([rows, columns, np.full_like(rows, 7)], axis=2).astype(np.uint8))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (("N", 3, 4, 6), (3, 4, 6)),
        ((1, 4, 6, 3), (4, 6, 3)),
        (("N", 1, 4, 6), (1, 4, 6)),
        ((1, 4, 6, 1), (4, 6, 1)),
        (("N", 3, "H", "W"), (3, 8, 12)),
        (("N", 96), (96,)),
        ((1, 3, 3, 3), (3, 3, 3)),
    ],
)
def test_picture_takes_the_shape_of_the_input(shape, expected):
    """Layout, channels and size follow from the model where nothing is said."""
    assert expected == parse_preprocess(None).picture(gradient(8, 12), spec(*shape)).shape


def test_picture_is_scaled_then_shifted_then_divided():
    """(x * scale - mean) / std, per channel, in float32."""
    how = parse_preprocess("scale=1/255 mean=.485,.456,.406 std=.229,.224,.225")
    image = gradient(4, 6)
    expected = (np.asarray(image, np.float64) / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    x = how.picture(image, spec("N", 3, 4, 6))

    assert x.dtype == np.float32
    np.testing.assert_allclose(x, expected.transpose(2, 0, 1), rtol=1e-5, atol=1e-6)


def test_picture_channels_can_be_reversed():
    """BGR puts blue first; one channel is gray."""
    blue_first = parse_preprocess("channels=BGR").picture(gradient(4, 4), spec("N", 3, 4, 4))
    gray = parse_preprocess("channels=L").picture(gradient(4, 4), spec("N", 4, 4))

    assert (blue_first[0] == 7).all()
    assert gray.shape == (4, 4)


def test_size_cuts_the_middle():
    """The shorter side fits, the longer is cut at both ends; resize leaves more to cut."""
    middle = parse_preprocess("size=4").picture(gradient(4, 10), spec("N", 3, "H", "W"))
    inner = parse_preprocess("size=2 resize=4").picture(gradient(4, 10), spec("N", 3, "H", "W"))

    assert middle[1, 0].tolist() == [3, 4, 5, 6]
    assert inner[1, 0].tolist() == [4, 5]
    assert inner[0, :, 0].tolist() == [1, 2]


def test_size_with_two_numbers_is_exact():
    """Height x width, with nothing cut."""
    x = parse_preprocess("size=2x5 filter=nearest layout=NHWC").picture(gradient(4, 10), spec("N", "H", "W", 3))

    assert x.shape == (2, 5, 3)
    assert x[0, :, 1].tolist() == [1, 3, 5, 7, 9]


def test_pictures_stay_bytes_when_nothing_changes_them():
    """A model with a uint8 input gets the pixels."""
    assert parse_preprocess("size=4").picture(gradient(4, 4), spec("N", 3, 4, 4)).dtype == np.uint8


def test_stored_array_is_rescaled_along_its_channels():
    """Per-channel values follow the layout of the input, batched or not."""
    how = parse_preprocess("mean=1,2,3")
    x = np.zeros((2, 3, 4, 4))

    assert how.array(x, spec("N", 3, 4, 4))[0, :, 0, 0].tolist() == [-1, -2, -3]
    assert how.array(x[0], spec("N", 3, 4, 4))[:, 0, 0].tolist() == [-1, -2, -3]
    assert how.array(x.transpose(0, 2, 3, 1), spec("N", 4, 4, 3))[0, 0, 0].tolist() == [-1, -2, -3]


@pytest.mark.parametrize(
    "text",
    [
        "scale",
        "colour=RGB",
        "scale=x",
        "scale=1/0",
        "std=0",
        "size=0",
        "size=axb",
        "layout=HWC",
        "mean=",
        "scale=1 scale=2",
    ],
)
def test_preprocessing_that_cannot_be_read_is_a_usage_error(text):
    """The error shows the text and what the key takes, or all keys."""
    with pytest.raises(UsageError) as error:
        parse_preprocess(text)
    assert text in error.value.where
    assert error.value.next


def test_mean_of_the_wrong_length_is_a_usage_error():
    """Two means for three channels."""
    with pytest.raises(UsageError, match="mean has 2 entries, the input has 3 channels"):
        parse_preprocess("mean=1,2").picture(gradient(4, 4), spec("N", 3, 4, 4))
