import pytest
import torch

from overparam.errors import BadInput
from overparam.methods.training.crop_flip import crop_and_flip


def draw(seed=0):
    return torch.Generator().manual_seed(seed)


def test_without_padding_images_are_mirrored_or_left():
    x = torch.randn(3, 20, 2, 5, 7, generator=draw())
    moved = crop_and_flip(x, padding=0, generator=draw())
    same = (moved == x).flatten(2).all(2)
    mirrored = (moved == x.flip(-1)).flatten(2).all(2)
    assert (same ^ mirrored).all()
    assert 10 < int(same.sum()) < 50


def test_every_result_is_a_window_of_the_padded_image():
    x = torch.arange(16.0).view(1, 1, 4, 4).expand(50, 1, 4, 4)
    padded = torch.nn.functional.pad(x[:1], (2,) * 4, mode="reflect")[0]
    windows = [padded[:, i : i + 4, j : j + 4] for i in range(5) for j in range(5)]
    windows += [w.flip(-1) for w in windows]
    moved = crop_and_flip(x, padding=2, generator=draw())
    assert all(any(torch.equal(m, w) for w in windows) for m in moved)
    assert len({tuple(m.flatten().tolist()) for m in moved}) > 20


def test_the_generator_decides():
    x = torch.randn(4, 3, 8, 8, generator=draw())
    assert torch.equal(crop_and_flip(x, generator=draw(1)), crop_and_flip(x, generator=draw(1)))
    assert not torch.equal(crop_and_flip(x, generator=draw(1)), crop_and_flip(x, generator=draw(2)))


@pytest.mark.parametrize("padding", [-1, 4])
def test_refuses_padding_out_of_range(padding):
    with pytest.raises(BadInput, match=f"padding={padding}"):
        crop_and_flip(torch.zeros(1, 1, 4, 6), padding=padding, generator=draw())
