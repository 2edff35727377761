"""Examples as small pictures or snippets of text."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from overparam.examine.examples import Examples

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE, SNIPPET = 96, 140


class Thumbnails:
    """Shows examples: by the user's own function, by the text that came with them, or by their pixels.

    Args:
        examples: Their pixels set the range of brightness.
        describe: Position to a text or a PIL image, or None.
    """

    def __init__(self, examples: Examples, describe: Callable[[int], Any] | None) -> None:
        self._describe, self._texts = describe, examples.texts
        some = examples.x[:512]
        self._pictures = some.dim() == 4 and some.shape[1] in (1, 3) and min(some.shape[2:]) >= 4
        if self._pictures:
            flat = some.float().transpose(0, 1).flatten(1)
            self._low, self._high = flat.amin(1)[:, None, None], flat.amax(1)[:, None, None]

    def show(self, position: int, x: Tensor) -> tuple[str, str]:
        """Show one example.

        Args:
            position: In the data set.
            x: Its input.

        Returns:
            A data URI and a text; either may be empty.
        """
        if self._describe is not None:
            shown = self._describe(position)
            return (_uri(shown), "") if hasattr(shown, "save") else ("", _short(str(shown)))
        if position in self._texts:
            return "", _short(self._texts[position])
        if self._pictures:
            return _uri(self._image(x)), ""
        values = x.flatten()[:6].tolist()
        return "", _short(", ".join(f"{v:.3g}" for v in values) + (", …" if x.numel() > 6 else ""))

    def _image(self, x: Tensor) -> Image:
        from PIL import Image

        scaled = (x.float() - self._low) / (self._high - self._low).clamp_min(1e-9)
        pixels = (255 * scaled.clamp(0, 1)).round().to(torch.uint8).permute(1, 2, 0).numpy()
        return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


def _uri(image: Any) -> str:
    from PIL import Image

    small = image.convert("RGB")
    factor = SIDE / max(small.size)
    size = tuple(max(1, round(side * factor)) for side in small.size)
    buffer = io.BytesIO()
    method = Image.Resampling.NEAREST if factor > 1 else Image.Resampling.LANCZOS
    small.resize(size, method).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _short(text: str) -> str:
    return text if len(text) <= SNIPPET else text[: SNIPPET - 1].rstrip() + "…"
