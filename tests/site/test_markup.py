import re
import time
from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from overparam.site.markup import MATHML, MATHML_ATTRIBUTES, PROSE, clean_markdown, clean_text, with_maths


class Seen(HTMLParser):
    """Every tag and attribute that a browser would find."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.words = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data):
        self.words.append(data)

    def handle_comment(self, data):
        self.tags.append("comment")

    handle_decl = handle_pi = unknown_decl = handle_comment


def words(html):
    return "".join(Seen(html).words)


HOSTILE = [
    r"\text{<script>alert(1)</script>}", r"\href{javascript:alert(1)}{x}", r"\text{&lt;script&gt;}", r"\mbox{</math><img src=x onerror=alert(1)>}",
    r"\style{position:fixed}{x}", r"\class{btn}{x}", r"\color{red;background:url(//e.org)}{x}", r"\text{<annotation-xml encoding='text/html'><script>}",
    r"\text{<mglyph><svg><style>}", "{" * 300, r"\sqrt" * 70, r"\left(\right", "\\", "}", "&" * 300, r"\newcommand{\a}{\a\a}\a", r"\begin{matrix}",
    r"\hspace{99999em}x", r"\rule{99em}{99em}", "<!--", "]]>", "\x00", "\ud800",
]  # fmt: skip
pieces = st.one_of(
    st.text(max_size=12), st.sampled_from([*HOSTILE, "$", r"\(", r"\)", "<b>", "&amp;", r"\frac", "{x}", "^", "_"])
)


@given(st.lists(pieces, max_size=8).map("".join))
@example(f"a ${HOSTILE[0]}$ b")
@example(r"\(" + HOSTILE[3] + r"\)")
def test_only_tags_of_mathml_come_out(text):
    seen = Seen(str(with_maths(text)))
    assert set(seen.tags) <= set(MATHML.split())
    for tag, name, value in seen.attributes:
        assert name in MATHML_ATTRIBUTES.get(tag, set()) | MATHML_ATTRIBUTES["*"]
        assert not re.search(r"\d{3,}|:|//", value)


@pytest.mark.parametrize("tex", HOSTILE)
def test_hostile_formulas_never_raise(tex):
    seen = Seen(str(with_maths(f"before ${tex}$ after")))
    assert set(seen.tags) <= set(MATHML.split())
    assert words(str(with_maths(f"before ${tex}$ after"))).startswith("before ")


@given(st.text().filter(lambda text: "$" not in text and "\\" not in text))
def test_text_without_formulas_is_only_escaped(text):
    assert words(str(with_maths(text))) == clean_text(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (r"$O(\sqrt{n})$ steps", "<msqrt>"),
        (r"in \(\mathbb{R}^d\)", "<msup>"),
        (r"$\theta_i$", "θ"),
        (r"$a < b$ & c", "&lt;</mo>"),
    ],
)
def test_formulas_become_mathml(text, says):
    shown = str(with_maths(text))
    assert shown.count("<math") == shown.count("</math>") == 1
    assert says in shown


@pytest.mark.parametrize(
    "text", ["$5 and $6", "costs $5", r"\$a$", "$ a $", "$$x$$", f"${'x' * 500}$", r"$\left(\right$", r"$\def\a{b}$"]
)
def test_what_is_no_formula_or_cannot_be_rendered_stays_as_written(text):
    assert str(with_maths(text)) == text


@pytest.mark.parametrize("piece", ["$", r"\(", "$a", "$ a", r"$\a", r"\( a"])
def test_a_pathological_text_takes_no_time(piece):
    began = time.process_time()
    with_maths(piece * (20_000 // len(piece)))
    assert time.process_time() - began < 0.8  # seconds; a pattern that goes back and forth takes minutes


def test_what_nobody_sees_is_removed():
    assert clean_text("a\u202eb\x00c\x1b[31m\td\ne\u2066\ud800") == "abc[31m\td\ne"
    assert clean_text("naïve 数 👩‍🔬") == "naïve 数 👩‍🔬"


MARKDOWN = """# Title
Text with *emphasis*, `code`, <script>alert(1)</script> and <img src=x onerror=alert(1)>.

[one](javascript:alert(1)) [two](JaVaScRiPt:alert(1)) [three](data:text/html,x) [four](https://example.org/?a=1&b=2)
[five](vbscript:x) [six](/papers/x) ![picture](https://example.org/x.png)

| a | b |
|---|--:|
| 1 | 2 |

    x < 1
"""


def test_markdown_keeps_prose_and_drops_what_could_act():
    seen = Seen(str(clean_markdown(MARKDOWN)))
    assert set(seen.tags) <= set(PROSE.split())
    assert {"h1", "em", "code", "table", "pre"} <= set(seen.tags)
    assert [value for tag, name, value in seen.attributes if name == "href"] == [
        "https://example.org/?a=1&b=2",
        "/papers/x",
    ]
    assert {name for _, name, _ in seen.attributes} == {"href", "rel"}
    assert "<script>alert(1)</script>" in "".join(seen.words)  # as text


@given(
    st.lists(
        st.one_of(
            st.text(max_size=20),
            st.sampled_from([
                "[a](",
                "javascript:x",
                ")",
                "<a href='",
                "'>",
                "`",
                "```\n",
                "<script>",
                "![",
                "](data:,x)",
                "\n",
                "&#106;avascript:",
            ]),
        ),
        max_size=10,
    ).map("".join)
)
def test_no_markdown_gets_out(text):
    seen = Seen(str(clean_markdown(text)))
    assert set(seen.tags) <= set(PROSE.split())
    for _, name, value in seen.attributes:
        assert name in ("href", "title", "rel")
        if name == "href":
            assert not re.match(r"\s*(javascript|data|vbscript):", value, re.IGNORECASE)
