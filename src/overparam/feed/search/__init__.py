"""Search by words and by meaning over papers and claims."""

from overparam.feed.search.answer import Found, Hit
from overparam.feed.search.grammar import Query, parse
from overparam.feed.search.hybrid import matches, search
from overparam.feed.search.index import update

__all__ = ["Found", "Hit", "Query", "matches", "parse", "search", "update"]
