"""The validation and test parts of WikiText-2: 455,000 words of Wikipedia articles; the training part is not used.

Source: Merity, Xiong, Bradbury and Socher, Pointer Sentinel Mixture Models, arXiv 1609.07843; CC BY-SA.
"""

from __future__ import annotations

from typing import Literal

from overparam.data.store import Source, locate
from overparam.errors import BadInput

Part = Literal["valid", "test"]
_URL = "https://raw.githubusercontent.com/reichenbch/Word-Level-Language-Model/master/data/wikitext-2"
_SUMS = {
    "wiki.valid.tokens": "f0737ed31fc1329026e95cb8b98e19c2a182c39c240ab909dc31abf2f8af58e8",
    "wiki.test.tokens": "d790b833ef8cf03a90db7bf1271b7520b83c45ce07ba3c1a9699df81e239eca0",
}
SOURCES = tuple(Source("wikitext2-small", name, (total,), f"{_URL}/{name}") for name, total in _SUMS.items())


def load_wikitext2_small(*, part: Part = "valid") -> list[list[str]]:
    """Read one part.

    Args:
        part: `valid` or `test`.

    Returns:
        Words of each line that is not empty, headings included, rare words as `<unk>`.

    Raises:
        BadInput: An unknown part.
    """
    if part not in ("valid", "test"):
        raise BadInput(f"part={part!r} is unknown; give 'valid' or 'test'")
    lines = locate(SOURCES[part == "test"]).read_text(encoding="utf-8").split("\n")
    return [words for line in lines if (words := line.split())]


load = load_wikitext2_small
