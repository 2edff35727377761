"""Word analogies `a b c d`: a is to b as c is to d.

Source: Mikolov, Chen, Corrado and Dean, Efficient Estimation of Word Representations in Vector Space,
arXiv 1301.3781, section 4.1; Apache 2.0.
"""

from __future__ import annotations

from typing import Literal

from overparam.data.store import Source, locate
from overparam.errors import BadInput

Kind = Literal["words", "phrases"]
Question = tuple[str, str, str, str]
_URL = "https://raw.githubusercontent.com/tmikolov/word2vec/master"
_SUMS = {
    "questions-words.txt": "8c29b3332afc46f3fb8be04cb5297bf96f39aa7131272dff57869b4485b22a36",
    "questions-phrases.txt": "55cfc0894d0fe6cf974d106da3e09b5fb2fa6125b6ddc633d06e298dc5aa7901",
}
SOURCES = tuple(Source("word-analogies", name, (total,), f"{_URL}/{name}") for name, total in _SUMS.items())


def load_word_analogies(*, kind: Kind = "words") -> dict[str, list[Question]]:
    """Read the questions.

    Args:
        kind: `words` (19,544 questions in 14 sections) or `phrases` (3,218 in 5).

    Returns:
        Name of each section to its questions, as printed, capital letters kept.

    Raises:
        BadInput: An unknown kind.
    """
    if kind not in ("words", "phrases"):
        raise BadInput(f"kind={kind!r} is unknown; give 'words' or 'phrases'")
    sections: dict[str, list[Question]] = {}
    questions: list[Question] = []
    for line in locate(SOURCES[kind == "phrases"]).read_text(encoding="utf-8").splitlines():
        if line.startswith(":"):
            questions = sections.setdefault(line[1:].strip(), [])
        else:
            a, b, c, d = line.split()
            questions.append((a, b, c, d))
    return sections


load = load_word_analogies
