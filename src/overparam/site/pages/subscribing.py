"""Subscribing: the form, the confirmation, and the page that changes or stops a subscription."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from overparam.errors import BadInput, Conflict, NotFound, OverparamError
from overparam.feed import listings
from overparam.feed.mail import subscriptions
from overparam.feed.mail.filters import KINDS, Filter
from overparam.feed.mail.subscriptions import Subscription
from overparam.feed.mail.transport import post
from overparam.lab.registry import papers
from overparam.site.security import network_of
from overparam.site.views import page

ACTIONS = {"pause": subscriptions.pause, "resume": subscriptions.resume, "undo": subscriptions.undo}


def form(request: Request) -> Response:
    """Show the form, with what the address asks for ticked."""
    asked = request.query_params
    typed = {
        "email": "",
        "frequency": "daily",
        "hour": "7",
        "kinds": ["papers", "verdicts"],
        "topics": asked.getlist("topic"),
        "papers": [slug for slug in asked.getlist("paper") if slug in papers()],
        "words": asked.get("words", ""),
    }
    return _form(request, typed)


def _form(request: Request, typed: Mapping[str, Any], problem: str = "", status: int = 200) -> Response:
    names = {slug: papers()[slug].paper.title for slug in typed["papers"] if slug in papers()}
    topics = listings.all_topics(request.app.state.ledger)
    return page(
        request, "subscribe.html.jinja", status, typed=typed, problem=problem, topics=topics[:20], followed=names
    )


def _typed(sent: FormData) -> dict[str, Any]:
    several = {name: [str(v) for v in sent.getlist(name)] for name in ("kinds", "topics", "papers")}
    return {**{name: str(sent.get(name, "")) for name in ("email", "frequency", "hour", "words")}, **several}


def _filter(typed: Mapping[str, Any]) -> Filter:
    kinds = typed["kinds"]
    if not kinds:
        raise BadInput(f"Tick at least one of {', '.join(KINDS)}")
    return Filter.parse({"kinds": kinds, "topics": typed["topics"], "papers": typed["papers"], "words": typed["words"]})


def _hour(typed: Mapping[str, Any]) -> int:
    if not typed["hour"].isdecimal() or int(typed["hour"]) > 23:
        raise BadInput("hour is a full hour from 0 to 23, UTC")
    return int(typed["hour"])


async def subscribe(request: Request) -> Response:
    """Take a wish to subscribe; the answer is the same whether or not the address was known."""
    async with request.form(max_files=0, max_fields=200) as sent:
        typed = _typed(sent)
    return await run_in_threadpool(_subscribe, request, typed)


def _subscribe(request: Request, typed: dict[str, Any]) -> Response:
    try:
        mail = subscriptions.subscribe(
            request.app.state.ledger,
            typed["email"],
            _filter(typed),
            frequency=typed["frequency"],
            hour=_hour(typed),
            network=network_of(request),
        )
    except BadInput as error:
        return _form(request, typed, str(error), 422)
    answer = page(request, "subscribe_sent.html.jinja", 202)
    if mail is not None:
        answer.background = BackgroundTask(post, mail)  # after the answer, so that its time tells nothing
    return answer


def confirm_page(request: Request) -> Response:
    """Show the one button that confirms; looking changes nothing."""
    token = request.path_params["token"]
    found = subscriptions.look_up(request.app.state.ledger, token, purpose="confirm")
    return page(request, "confirm.html.jinja", subscription=found, token=token)


def confirm(request: Request) -> Response:
    """Confirm."""
    found = subscriptions.confirm(request.app.state.ledger, request.path_params["token"])
    return RedirectResponse(f"/u/{found.manage_token}?done=confirmed", status_code=303)


def manage(request: Request) -> Response:
    """Show a subscription with the ways to change or stop it."""
    token = request.path_params["token"]
    found = subscriptions.look_up(request.app.state.ledger, token)
    return _manage(request, found, done=request.query_params.get("done", ""))


def _manage(request: Request, found: Subscription, *, done: str = "", problem: str = "", status: int = 200) -> Response:
    typed = {**found.filter.as_json(), "frequency": found.frequency, "hour": str(found.hour), "email": found.email}
    names = {slug: papers()[slug].paper.title for slug in found.filter.papers if slug in papers()}
    return page(
        request,
        "manage.html.jinja",
        status,
        subscription=found,
        token=found.manage_token,
        typed=typed,
        followed=names,
        topics=listings.all_topics(request.app.state.ledger)[:20],
        done=done,
        problem=problem,
    )


def stop(request: Request) -> Response:
    """Stop at once, with one click in a mail program or the button; stale links stop too."""
    token = request.path_params["token"]
    found = subscriptions.unsubscribe(request.app.state.ledger, token)
    if "text/html" not in request.headers.get("accept", ""):
        return PlainTextResponse("Nothing more will come.\n")
    return page(request, "stopped.html.jinja", token=found.manage_token if found else None)


def act(request: Request) -> Response:
    """Pause, resume or take back."""
    action = request.path_params["action"]
    if action not in ACTIONS:
        raise NotFound(f"a subscription cannot {action[:20]}; it can {', '.join(ACTIONS)}")
    found = ACTIONS[action](request.app.state.ledger, request.path_params["token"])
    return RedirectResponse(f"/u/{found.manage_token}?done={action}", status_code=303)


def erase(request: Request) -> Response:
    """Delete the address and everything kept with it."""
    subscriptions.delete(request.app.state.ledger, request.path_params["token"])
    return page(request, "stopped.html.jinja", token=None, erased=True)


async def change(request: Request) -> Response:
    """Change what a subscription is about."""
    async with request.form(max_files=0, max_fields=200) as sent:
        typed = _typed(sent)
    return await run_in_threadpool(_change, request, typed)


def _change(request: Request, typed: dict[str, Any]) -> Response:
    ledger, token = request.app.state.ledger, request.path_params["token"]
    try:
        found = subscriptions.change(ledger, token, _filter(typed), typed["frequency"], _hour(typed))
    except (BadInput, Conflict) as error:
        try:
            present = subscriptions.look_up(ledger, token)
        except OverparamError:
            raise error from None
        return _manage(request, present, problem=str(error), status=422)
    return RedirectResponse(f"/u/{found.manage_token}?done=change", status_code=303)


routes = [
    Route("/subscribe", form, methods=["GET"]),
    Route("/subscribe", subscribe, methods=["POST"]),
    Route("/confirm/{token}", confirm_page, methods=["GET"]),
    Route("/confirm/{token}", confirm, methods=["POST"]),
    Route("/u/{token}", manage, methods=["GET"]),
    Route("/u/{token}", stop, methods=["POST"]),
    Route("/u/{token}/change", change, methods=["POST"]),
    Route("/u/{token}/erase", erase, methods=["POST"]),
    Route("/u/{token}/{action}", act, methods=["POST"]),
]
