"""One digest as one mail."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from overparam.feed.mail import message, verp
from overparam.feed.mail.message import Mail
from overparam.feed.mail.news import Finding, News
from overparam.feed.mail.subscriber import Subscription
from overparam.lab.wording import capital, count, joined, spelled
from overparam.settings import site_url

FINDINGS_SHOWN, LISTED_SHOWN = 40, 20
MARKS = {  # sign and colour, as in the house style
    "reproduced": ("●", "#1b7770"),
    "partly": ("◐", "#996200"),
    "not reproduced": ("■", "#8c2600"),
    "inconclusive": ("○", "#4a4f60"),
}


def message_id(subscription: str, digest_key: str) -> str:
    """Name a digest so that a receiver drops a second copy, and that a bounce can be told from a forgery.

    Args:
        subscription: Its id.
        digest_key: Names the digest among those of the subscription.

    Returns:
        Value of the header.
    """
    name = f"{subscription}.{digest_key}"
    return f"<{name}.{verp.tag(name, 'message')}@{verp.sender().domain}>"


def edition(to: Subscription, news: News, digest_key: str, *, now: str) -> Mail:
    """Write a digest.

    Args:
        to: The reader.
        news: What it tells; not empty.
        digest_key: Its day, which names it among those of the subscription.
        now: The time.

    Returns:
        The mail.
    """
    today = date.fromisoformat(digest_key)
    stop = message.manage_address(to.manage_token)
    host = verp.sender().domain
    headers = {
        "Message-ID": message_id(to.id, digest_key),
        "List-Id": f"overparam digest <digest.{host}>",
        "List-Unsubscribe": f"<{stop}>, <mailto:{verp.make(to.id, 'unsubscribe')}?subject=unsubscribe>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "Precedence": "bulk",
    }
    subject = f"{_tally(news, 'paper')}: {today:%A} {today.day} {today:%B}"
    context = _context(news, today) | {
        "title": subject,
        "lead": " ".join(_lead(news.findings)),
        "button": ("See the evidence" if news.judged else "See the papers", f"{site_url()}{_place(news, to, today)}"),
        "asked": to.words_for_people,
        "stop": stop,
    }
    return message.compose(
        to.email, subject, "digest", context, headers, return_path=verp.make(to.id, "bounce"), now=now
    )


def _context(news: News, today: date) -> dict[str, Any]:
    judged, room = [], FINDINGS_SHOWN
    for paper in news.judged:
        shown = paper.findings[:room]
        room -= len(shown)
        if shown:
            judged.append((paper, shown))
    lead = _lead(news.findings)
    first = news.listed[0].title if news.listed else ""
    new = any(paper.judged for paper in news.listed)
    return {
        "day": f"{today:%A} {today.day} {today:%B %Y}",
        "heading": _tally(news, "new paper"),
        "preview": ", ".join([lead[0].rstrip("."), *(s[0].lower() + s[1:].rstrip(".") for s in lead[1:])]) + "."
        if lead
        else first,
        "judged": judged,
        "more_findings": len(news.findings) - FINDINGS_SHOWN + room,
        "listed": news.listed[:LISTED_SHOWN],
        "listed_heading": "New papers" if new else "New papers, not judged yet",
        "more_listed": len(news.listed) - LISTED_SHOWN,
        "proxy": any(f.proxy for f in news.findings),
        "interval": any(f.interval for f in news.findings),
        "marks": MARKS,
        "site": site_url(),
        "capital": capital,
        "count": count,
    }


def _tally(news: News, noun: str) -> str:
    n, m = len(news.findings), len(news.listed)
    return ", ".join(([count(n, "verdict")] if n else []) + ([count(m, noun)] if m else []))


def _lead(findings: Sequence[Finding]) -> list[str]:
    """What must not be missed; failing that, what came out."""
    failed = sum(f.status == "not reproduced" for f in findings)
    changed = sum(bool(f.was) for f in findings)
    sentences = []
    if failed:
        sentences.append(f"{capital(spelled(failed))} {'claim was' if failed == 1 else 'claims were'} not reproduced.")
    if changed:
        noun = "verdict" if changed == 1 else "verdicts"
        sentences.append(f"{capital(spelled(changed))} {noun} changed since you last heard from us.")
    if sentences or not findings:
        return sentences
    words = {"reproduced": "reproduced", "partly": "partly reproduced", "inconclusive": "left open"}
    tally = [(sum(f.status == status for f in findings), word) for status, word in words.items()]
    parts = [f"{spelled(n)} {'was' if n == 1 else 'were'} {word}" for n, word in tally if n]
    return [f"Of {count(len(findings), 'claim')}, {joined(parts)}."]


def _place(news: News, to: Subscription, today: date) -> str:
    """Where the button leads: the one paper, the week, the newest day, or the board."""
    keys = {paper.slug for paper in news.judged} | {paper.key for paper in news.listed}
    if len(keys) == 1:
        return f"/papers/{keys.pop()}"
    if not news.listed:
        return "/board"
    if to.frequency == "weekly":
        year, week, _ = (today - timedelta(days=1)).isocalendar()
        return f"/weeks/{year}-W{week:02d}"
    return f"/days/{max(paper.day for paper in news.listed)}"
