"""Numbers and words, the same in terminal, report and site."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from overparam.lab.judgement import Part

MINUS, THIN = "\u2212", "\u202f"


def number(value: float) -> str:
    """Write a number shortly: four significant digits, true minus, thousands with a comma, powers of ten.

    Args:
        value: Any finite number.

    Returns:
        Its text.

    Example:
        >>> number(0.0025), number(-12000.0), number(3e-12)
        ('0.0025', '−12,000', '3·10⁻¹²')
    """
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    if -4 <= exponent < 6:
        text = f"{value:,.{max(0, 3 - exponent)}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    else:
        digits = f"{value / 10**exponent:.1f}".removesuffix(".0")
        text = f"{digits}·10{superscript(exponent)}"
    return text.replace("-", MINUS)


def short(value: float, *, sign: bool = False) -> str:
    """Write a number to three significant digits, for sentences.

    Args:
        value: Any number.
        sign: Whether a plus is shown, too.

    Returns:
        Its text.

    Example:
        >>> short(0.012345), short(-310.2), short(0.5, sign=True)
        ('0.0123', '−310', '+0.5')
    """
    if not math.isfinite(value):
        return "∞" if value > 0 else "−∞" if value < 0 else "undefined"
    text = number(float(f"{value:.3g}"))
    return f"+{text}" if sign and value > 0 else text


def percent(share: float) -> str:
    """Write a share in per cent: no decimals from ten on, one below, two below a tenth; one right below the whole.

    Args:
        share: 0 to 1, or any other number.

    Returns:
        Its text.

    Example:
        >>> percent(0.1649), percent(0.0123), percent(0.01), percent(0.9963)
        ('16\u202f%', '1.2\u202f%', '1\u202f%', '99.6\u202f%')
    """
    value = 100 * share
    size = abs(value)
    decimals = 2 if size < 0.095 else 1 if size < 9.95 or 99 < size < 100 else 0
    text = f"{value:.{decimals}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return f"{text.replace('-', MINUS)}{THIN}%"


def superscript(value: int) -> str:
    """Write an integer in raised digits.

    Args:
        value: Any integer.

    Returns:
        Its text.
    """
    return str(value).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def fixed(value: float, decimals: int, *, sign: bool = False) -> str:
    """Write a number with a true minus.

    Args:
        value: Any finite number.
        decimals: Digits after the point.
        sign: Whether a plus is shown too.

    Returns:
        Its text.
    """
    text = f"{value:{'+' if sign else ''},.{decimals}f}".replace("-", MINUS)
    return text if text.strip(f"+{MINUS}0.,") else text.lstrip(f"+{MINUS}")  # zero has no sign


def estimate_text(part: Part) -> tuple[str, str]:
    """Write estimate and interval: two significant digits of the half width, the same decimals in all three.

    Args:
        part: A judged part.

    Returns:
        Estimate and `[low, high]`; the second is empty for exact parts and says so where there is no interval.
    """
    if part.estimate is None or part.low is None or part.high is None:
        return "–", "no data"
    if part.across == "case":
        return number(part.estimate), f"in {count(part.n, 'case')}"
    if not math.isfinite(part.low) or not math.isfinite(part.high):
        return number(part.estimate), "no interval"
    half = (part.high - part.low) / 2
    if half == 0:
        text = number(part.estimate)
        return text, f"[{text}, {text}]"
    decimals = max(0, 1 - math.floor(math.log10(half)))
    if decimals > 5:
        return number(part.estimate), f"[{number(part.low)}, {number(part.high)}]"
    ends = f"[{fixed(part.low, decimals)}, {fixed(part.high, decimals)}]"
    return fixed(part.estimate, decimals, sign=part.difference), ends


def count(n: int, noun: str) -> str:
    """Count things: `1 trial`, `2,000 trials`.

    Args:
        n: How many.
        noun: In the singular.

    Returns:
        Number and noun.
    """
    return f"{n:,} {noun if n == 1 else noun + 's'}"


def duration(seconds: float) -> str:
    """Write a time: `2.1 s`, `58 s`, `4 min 12 s`, `3.2 h`.

    Args:
        seconds: Not negative.

    Returns:
        Its text.
    """
    if seconds < 9.95:
        return f"{seconds:.1f}{THIN}s"
    if seconds < 59.5:
        return f"{seconds:.0f}{THIN}s"
    if seconds < 3570:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes}{THIN}min" + (f" {rest}{THIN}s" if rest else "")
    return f"{seconds / 3600:.1f}{THIN}h"


def megabytes(value: float) -> str:
    """Write a size: `612 MB`, `3.1 GB`.

    Args:
        value: Megabytes.

    Returns:
        Its text.
    """
    return f"{value:.0f}{THIN}MB" if value < 1000 else f"{value / 1000:.1f}{THIN}GB"


def day(iso: str) -> str:
    """Write the day of a moment: `21 November 2026`.

    Args:
        iso: ISO text.

    Returns:
        Its day.
    """
    when = datetime.fromisoformat(iso)
    return f"{when.day} {when:%B %Y}"


def joined(words: Sequence[str]) -> str:
    """Join words: `a`, `a and b`, `a, b and c`.

    Args:
        words: Any number of them.

    Returns:
        One text.
    """
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1] if words else ""


def spelled(n: int) -> str:
    """Spell small numbers out.

    Args:
        n: Not negative.

    Returns:
        A word up to twelve, digits above.
    """
    words = ["none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
    return words[n] if n < len(words) else f"{n:,}"


def capital(text: str) -> str:
    """Make the first letter a capital.

    Args:
        text: Any text.

    Returns:
        The text.
    """
    return text[:1].upper() + text[1:]


def sentence_for(kind: str, status: str, parts: Iterable[Part]) -> str:
    """Say what was found: what held, what did not, with the numbers that matter.

    Args:
        kind: empirical, theorem or identity.
        status: Of the verdict.
        parts: Judged parts.

    Returns:
        One or two sentences.
    """
    parts = list(parts)
    order = {"fails": 0, "unclear": 1, "holds": 2}
    worst = sorted(parts, key=lambda p: order[p.state])
    if kind == "theorem" and status == "reproduced":
        return f"The bound or rate held in every case tried: {_finding(worst[0])}."
    shown = worst[:1] if status != "partly" else [worst[0], worst[-1]]
    text = "; ".join(_finding(part) for part in shown)
    rest = len(parts) - len(shown)
    if not rest:
        return f"{capital(text)}."
    held = sum(p.state == "holds" for p in parts)
    return (
        f"{capital(text)}. {capital(spelled(held))} of {spelled(len(parts))} parts {'holds' if held < 2 else 'hold'}."
    )


def _finding(part: Part) -> str:
    estimate, interval = estimate_text(part)
    unit = f"{THIN}{part.unit}" if part.unit in ("%", "ms", "s") else f" {part.unit}" if part.unit else ""
    if part.estimate is None:
        return f"{part.name}: no data"
    place = {"holds": "inside", "fails": "outside", "unclear": "across the edge of"}[part.state]
    if part.across == "case":
        return f"{part.name} was {estimate}{unit} {interval}, {place} the region {part.region}"
    if interval == "no interval":
        return f"{part.name} was {estimate}{unit} in a single {part.across}, which gives no interval"
    over = "" if part.n <= 1 else f" over {count(part.n, part.across)}"
    return f"{part.name} was {estimate} {interval}{unit}{over}, {place} the region {part.region}"
