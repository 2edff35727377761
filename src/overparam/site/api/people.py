"""Subscriptions by mail."""

from __future__ import annotations

from fastapi import APIRouter, BackgroundTasks, Request

from overparam.feed.mail.filters import Filter
from overparam.feed.mail.subscriptions import subscribe
from overparam.feed.mail.transport import post
from overparam.site.api import models
from overparam.site.api.strict import StrictRoute
from overparam.site.security import network_of

router = APIRouter(route_class=StrictRoute, tags=["people"], generate_unique_id_function=lambda route: route.name)
SENT = "A mail is on its way. Nothing more will come before the button behind its link is pressed."


@router.post("/subscriptions", summary="Subscribe an address to mail", status_code=202)
def add_subscription(request: Request, after: BackgroundTasks, wanted: models.SubscriptionWanted) -> models.Said:
    """Ask for mail. The answer is the same whether or not the address was known or may get mail."""
    chosen = Filter.parse(wanted.model_dump(include={"kinds", "topics", "words", "papers"}))
    mail = subscribe(
        request.app.state.ledger,
        wanted.email,
        chosen,
        frequency=wanted.frequency,
        hour=wanted.hour,
        network=network_of(request),
    )
    if mail is not None:
        after.add_task(post, mail)  # after the answer, so that its time tells nothing
    return models.Said(detail=SENT)
