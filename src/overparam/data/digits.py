"""scikit-learn's bundled digits: 1,797 handwritten digits of 8 x 8 pixels, always at hand.

Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998; CC BY 4.0.
"""

from __future__ import annotations

import numpy as np

from overparam.data.images import Images, Split, check_split

SOURCES = ()
_SPLIT_SEED, _TRAIN = 0, 1200


def checksum() -> str:
    """Return the sha256 of the arrays as scikit-learn ships them."""
    import hashlib

    from sklearn.datasets import load_digits as bundled

    pixels, labels = bundled(return_X_y=True)
    return hashlib.sha256(pixels.astype(np.uint8).tobytes() + labels.astype(np.uint8).tobytes()).hexdigest()


def load_digits(*, split: Split = "train") -> Images:
    """Read the digits; a fixed shuffle makes 1,200 training and 597 test images.

    Args:
        split: `train` or `test`.

    Returns:
        Images of shape (n, 1, 8, 8), grey values 0 to 255.
    """
    from sklearn.datasets import load_digits as bundled

    check_split(split)
    pixels, labels = bundled(return_X_y=True)
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(labels))
    rows = order[:_TRAIN] if split == "train" else order[_TRAIN:]
    images = np.round(pixels[rows] * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    return Images(images, labels[rows].astype(np.int64), tuple("0123456789"))


load = load_digits
