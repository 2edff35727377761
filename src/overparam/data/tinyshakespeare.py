"""Forty thousand lines of Shakespeare's plays, 1.1 million characters.

Source: Karpathy, The Unreasonable Effectiveness of Recurrent Neural Networks, 2015, repository karpathy/char-rnn (MIT);
the plays are in the public domain.
"""

from __future__ import annotations

from overparam.data.store import Source, locate

SOURCES = (
    Source(
        "tinyshakespeare",
        "input.txt",
        ("86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",),
        "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
    ),
)


def load_tinyshakespeare() -> str:
    """Read the plays.

    Returns:
        1,115,394 characters, 65 distinct ones. There is no split; the last tenth is the usual test text.
    """
    return locate(SOURCES[0]).read_text(encoding="utf-8")


load = load_tinyshakespeare
