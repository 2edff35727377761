import io
import tarfile

import numpy as np
import pytest

from overparam import data
from overparam.data import cifar10
from overparam.data.store import Source
from overparam.errors import BadInput


def test_digits_are_split_once_for_all():
    train, test = data.load("digits", split="train"), data.load("digits", split="test")
    assert train.images.shape == (1200, 1, 8, 8)
    assert test.images.shape == (597, 1, 8, 8)
    assert train.images.dtype == np.uint8
    assert train.images.max() == 255
    whole = np.concatenate([train.labels, test.labels])
    assert np.bincount(whole).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert (data.load("digits", split="train").images == train.images).all()


@pytest.mark.parametrize("name", ["digits", "mnist", "fashion", "cifar10"])
def test_splits_are_two(name, needs):
    needs(name)
    with pytest.raises(BadInput, match="give 'train' or 'test'"):
        data.load(name, split="validation")


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("mnist", [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]),
        ("fashion", [6000] * 10),
    ],
)
def test_idx_sets_have_their_published_shape_and_counts(name, counts, needs):
    needs(name)
    train, test = data.load(name, split="train"), data.load(name, split="test")
    assert train.images.shape == (60_000, 1, 28, 28)
    assert test.images.shape == (10_000, 1, 28, 28)
    assert np.bincount(train.labels).tolist() == counts
    assert train.labels.dtype == np.int64
    assert len(train.classes) == 10


@pytest.mark.slow
def test_cifar10_is_decoded_once_and_in_the_original_order(needs, home):
    needs("cifar10")
    train = data.load("cifar10", split="test")
    assert train.images.shape == (10_000, 3, 32, 32)
    assert np.bincount(train.labels).tolist() == [1000] * 10
    assert train.labels[:10].tolist() == [3, 8, 8, 0, 6, 6, 1, 6, 3, 1]  # as in every published copy
    kept = list((home / "cache" / "decoded").glob("*.npy"))
    assert len(kept) == 1
    before = kept[0].stat().st_mtime_ns
    data.load("cifar10", split="test")
    assert kept[0].stat().st_mtime_ns == before


def test_the_binary_archive_is_read_without_pickle(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    rows = {name: rng.integers(0, 10, (20, 3073), dtype=np.uint8) for name in
            [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]}  # fmt: skip
    folder = tmp_path / "data" / "cifar10"
    folder.mkdir(parents=True)
    with tarfile.open(folder / "cifar-10-binary.tar.gz", "w:gz") as archive:
        for name, array in rows.items():
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = array.nbytes
            archive.addfile(info, io.BytesIO(array.tobytes()))
    import hashlib

    total = hashlib.sha256((folder / "cifar-10-binary.tar.gz").read_bytes()).hexdigest()
    monkeypatch.setenv("OVERPARAM_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(cifar10, "_BINARY", Source("cifar10", "cifar-10-binary.tar.gz", (total,), "x"))
    train = data.load("cifar10", split="train")
    assert train.images.shape == (100, 3, 32, 32)
    assert train.labels.tolist() == np.concatenate([rows[f"data_batch_{i}.bin"][:, 0] for i in range(1, 6)]).tolist()
    assert (train.images[0].ravel() == rows["data_batch_1.bin"][0, 1:]).all()
    assert len(data.load("cifar10", split="test")) == 20


def test_human_labels_have_their_published_noise(needs):
    needs("cifar10n")
    clean = data.load("cifar10n", kind="clean")
    shares = {
        k: round(100 * float((data.load("cifar10n", kind=k) != clean).mean()), 2) for k in ("aggre", "worst", "random1")
    }
    assert shares == {"aggre": 9.01, "worst": 40.21, "random1": 17.23}
    with pytest.raises(BadInput, match="kind='best' is unknown"):
        data.load("cifar10n", kind="best")


def test_human_labels_are_in_the_order_of_the_images(needs):
    needs("cifar10")
    needs("cifar10n")
    import pyarrow.parquet as parquet

    from overparam.data.store import locate

    labels = parquet.read_table(locate(cifar10._PARQUET[0]), columns=["label"])["label"].to_numpy()
    assert (data.load("cifar10n", kind="clean") == labels).all()
