"""MNIST: 60,000 training and 10,000 test images of handwritten digits, 28 x 28 pixels.

Source: LeCun, Bottou, Bengio, Haffner, Gradient-Based Learning Applied to Document Recognition, 1998.
"""

from __future__ import annotations

from overparam.data.images import Images, Split, load_idx
from overparam.data.store import Source

_URL = "https://ossci-datasets.s3.amazonaws.com/mnist"
_SUMS = {  # of the uncompressed content
    "train-images-idx3-ubyte.gz": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte.gz": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte.gz": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte.gz": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
SOURCES = tuple(Source("mnist", name, (total,), f"{_URL}/{name}") for name, total in _SUMS.items())
CLASSES = tuple("0123456789")


def load_mnist(*, split: Split = "train") -> Images:
    """Read one split.

    Args:
        split: `train` or `test`.

    Returns:
        Images of shape (n, 1, 28, 28), grey values 0 to 255, in the published order.
    """
    return load_idx(SOURCES, CLASSES, split)


load = load_mnist
