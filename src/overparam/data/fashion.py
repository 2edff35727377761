"""Fashion-MNIST: 60,000 training and 10,000 test images of clothes, 28 x 28 pixels.

Source: Xiao, Rasul, Vollgraf, Fashion-MNIST, arXiv 1708.07747; MIT licence.
"""

from __future__ import annotations

from overparam.data.images import Images, Split, load_idx
from overparam.data.store import Source

_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"
_SUMS = {  # of the uncompressed content
    "train-images-idx3-ubyte.gz": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte.gz": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte.gz": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte.gz": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
SOURCES = tuple(Source("fashion", name, (total,), f"{_URL}/{name}") for name, total in _SUMS.items())
CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def load_fashion(*, split: Split = "train") -> Images:
    """Read one split.

    Args:
        split: `train` or `test`.

    Returns:
        Images of shape (n, 1, 28, 28), grey values 0 to 255, in the published order.
    """
    return load_idx(SOURCES, CLASSES, split)


load = load_fashion
