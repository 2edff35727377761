import pytest
from hypothesis import given
from hypothesis import strategies as st

from overparam.errors import BadInput
from overparam.feed.mail.address import key, parse


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        (" you@Example.ORG ", "you@example.org"),
        ("first.last+tag@mail.example.co.uk", "first.last+tag@mail.example.co.uk"),
        ("o'hara_1@example.org", "o'hara_1@example.org"),
        ("you@bücher.example", "you@xn--bcher-kva.example"),
    ],
)
def test_accepted(typed, kept):
    assert parse(typed) == kept
    assert parse(kept) == kept


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("", "There is no address. Example: you@example.org"),
        ("you.example.org", "There is no @ in “you.example.org”. Example: you@example.org"),
        ("you@", "Something is missing after the @ in “you@”"),
        ("@example.org", "Something is missing before the @ in “@example.org”"),
        ("you @example.org", "a space or a line break in “you @example.org”"),
        ("you@example.org\r\nBcc: all@example.org", "a space or a line break"),
        ("you@example.org\x00", "a space or a line break"),
        ("you@example", "no host, such as example.org"),
        ("you@127.0.0.1", "no host, such as example.org"),
        ("you@[127.0.0.1]", "Example: you@example.org"),
        ("you@-example.org", "Example: you@example.org"),
        ("you@example..org", "Example: you@example.org"),
        ("a@b@example.org", "Example: you@example.org"),
        ('"a b"@example.org', "a space or a line break"),
        ('"ab"@example.org', "cannot be used"),
        ("you..me@example.org", "Example: you@example.org"),
        ("you,me@example.org", "Example: you@example.org"),
        ("<you@example.org>", "Example: you@example.org"),
        ("jürgen@example.org", "cannot be used"),
        (f"{'a' * 65}@example.org", "too long"),
        (f"you@{'a' * 64}.org", "Example: you@example.org"),
    ],
)
def test_refused_with_the_reason(typed, says):
    with pytest.raises(BadInput) as caught:
        parse(typed)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "\r" not in str(caught.value)


@given(st.text(alphabet=st.characters(), max_size=60))
def test_any_text_is_kept_clean_or_refused(typed):
    try:
        kept = parse(f"{typed}@example.org")
    except BadInput:
        return
    assert kept.isascii()
    assert kept.isprintable()
    assert kept.count("@") == 1


def test_the_key_is_blind_to_case():
    assert key("You@example.org") == key("you@example.org") != key("me@example.org")
