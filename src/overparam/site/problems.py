"""Errors as readers get them: problem details (RFC 9457) under /api, a page with a way out elsewhere."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Match, Route

from overparam.errors import BadInput, Conflict, MissingExtra, NotFound, OverparamError, Unavailable
from overparam.settings import site_url
from overparam.site.views import page

log = logging.getLogger("overparam.site")
API = "/api/"
MEDIA_TYPE = "application/problem+json"
WRITES = ("POST", "PUT", "PATCH")
RETRY_SECONDS = 5


@dataclass(frozen=True)
class Kind:
    """A kind of problem, with a page of its own.

    Attributes:
        name: In its address.
        status: HTTP status.
        title: Short words, the same every time.
        cause: What it means.
        way_out: What to do.
    """

    name: str
    status: int
    title: str
    cause: str
    way_out: str


KINDS = {
    kind.status: kind
    for kind in (
        Kind(
            "bad-request",
            400,
            "This request cannot be read",
            "A parameter is unknown, or its text is not of the form that it must have, or the body is no JSON.",
            "The detail names the parameter. The description of the API lists what each operation takes.",
        ),
        Kind(
            "sign-in-needed",
            401,
            "This needs you to sign in",
            "The request changes something, and nobody is signed in, or the token is unknown or revoked.",
            "Sign in, or send a token as `Authorization: Bearer op_…`. Your account page makes tokens.",
        ),
        Kind(
            "not-allowed",
            403,
            "This is not allowed",
            "You are known, but your role or the scope of your token does not cover this.",
            "Use a token with a wider scope. An admin can change your role.",
        ),
        Kind(
            "not-found",
            404,
            "Nothing stands here",
            "The address is mistyped, or what it named does not exist.",
            "Search for it, or start from today’s papers.",
        ),
        Kind(
            "method-not-allowed",
            405,
            "This address does not take that method",
            "The address exists, but not for this HTTP method.",
            "The header `Allow` lists the methods that it takes.",
        ),
        Kind(
            "too-slow",
            408,
            "This took too long to arrive",
            "The body of the request did not arrive in time.",
            "Send it again.",
        ),
        Kind(
            "conflict",
            409,
            "This clashes with how things stand",
            "The same is being done already, or the state has changed in the meantime.",
            "Read the present state, then decide whether to try again.",
        ),
        Kind(
            "too-large",
            413,
            "This is too large",
            "The body is longer than the site takes.",
            "Send less at once.",
        ),
        Kind(
            "unsupported-media-type",
            415,
            "This type of body is not taken",
            "The API takes JSON alone.",
            "Send the body as JSON with the header `Content-Type: application/json`.",
        ),
        Kind(
            "invalid",
            422,
            "This cannot be accepted as given",
            "The request can be read, but a value in it is not allowed.",
            "Each entry of `errors` names a value and what is wrong with it.",
        ),
        Kind(
            "too-many-requests",
            429,
            "That was too much at once",
            "There is a limit for each account and each network, and it is reached.",
            "Wait as many seconds as the header `Retry-After` says.",
        ),
        Kind(
            "internal-error",
            500,
            "Something broke here",
            "This is a fault of the site, not of your request. It was written down with the number of the request.",
            "Try again. If it stays, tell who runs the site, and name the request.",
        ),
        Kind(
            "unavailable",
            503,
            "This cannot be used right now",
            "The ledger or something else that the site needs does not answer.",
            "Try again in a moment. Nothing that was confirmed is lost.",
        ),
    )
}
BY_NAME = {kind.name: kind for kind in KINDS.values()}


def status_of(error: OverparamError, method: str) -> int:
    """Choose the status for an error of ours.

    Args:
        error: What was raised.
        method: Of the request; what a read cannot parse is 400, what a write may not say is 422.

    Returns:
        The HTTP status.
    """
    if isinstance(error, BadInput):
        return 422 if method in WRITES else 400
    known = ((NotFound, 404), (Conflict, 409), (Unavailable, 503), (MissingExtra, 503))
    return next((status for kind, status in known if isinstance(error, kind)), 500)


def answer(
    request: Request,
    status: int,
    detail: str = "",
    *,
    headers: Mapping[str, str] | None = None,
    errors: Sequence[Mapping[str, str]] = (),
) -> Response:
    """Answer with a problem: JSON under /api, a page elsewhere.

    Args:
        request: What was asked.
        status: HTTP status.
        detail: What was wrong this time, and what to do.
        headers: To be sent along.
        errors: The values that were refused, each with `detail` and `parameter` or `pointer`.

    Returns:
        The answer; never cached.
    """
    kind = KINDS.get(status) or KINDS[500 if status >= 500 else 400]
    detail = detail or kind.cause
    if request.url.path.startswith(API):
        response: Response = JSONResponse(
            {
                "type": f"{site_url()}/problems/{kind.name}",
                "title": kind.title,
                "status": status,
                "detail": detail,
                "instance": request.url.path,
                **({"errors": list(errors)} if errors else {}),
            },
            status,
            media_type=MEDIA_TYPE,
        )
    else:
        response = _page(request, status, kind, detail)
    response.headers["Cache-Control"] = "no-store"
    response.headers.update(headers or {})
    return response


def _page(request: Request, status: int, kind: Kind, detail: str) -> HTMLResponse:
    number = getattr(request.state, "request_id", "") if status >= 500 else ""
    try:
        query = request.query_params.get("q", "")
        return page(request, "problem.html.jinja", status, kind=kind, detail=detail, number=number, query=query)
    except OverparamError:  # the ledger, which every page asks who looks, is what failed
        from overparam.site.views import environment

        text = environment().get_template("down.html.jinja").render(kind=kind, detail=detail, number=number)
        return HTMLResponse(text, status)


def allowed(request: Request) -> list[str]:
    """List the methods that an address takes, over all routes that share it.

    Args:
        request: What was asked.

    Returns:
        Methods in alphabetical order; empty where nothing stands.
    """
    scope = {**request.scope, "path_params": {}}
    found: set[str] = set()
    for route in request.app.router.routes:
        methods = getattr(route, "methods", None)
        if methods and route.matches(scope)[0] is not Match.NONE:
            found |= set(methods) | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())
    return sorted(found)


def refused(request: Request, error: Exception) -> Response:
    """Answer an HTTP error; OPTIONS gets the list of methods.

    Args:
        request: What was asked.
        error: An `HTTPException`.

    Returns:
        The answer.
    """
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    detail = str(error.detail)
    if error.status_code == 405:
        headers = {"Allow": ", ".join(allowed(request)) or headers.get("Allow", "GET, HEAD, OPTIONS")}
        detail = f"{request.method} is not among the methods of this address: {headers['Allow']}"
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=headers)
    if error.status_code == 404 and detail == "Not Found":
        detail = "There is no page at this address."
    return answer(request, error.status_code, detail, headers=headers)


def ours(request: Request, error: Exception) -> Response:
    """Answer an error of ours in its own words; those about the machine are for its owner alone.

    Args:
        request: What was asked.
        error: An `OverparamError`.

    Returns:
        The answer.
    """
    assert isinstance(error, OverparamError)
    status = status_of(error, request.method)
    if status < 500:
        return answer(request, status, _sentence(str(error)))
    log.warning("%s", error)
    detail = _sentence(str(error)) if getattr(request.app.state, "local", False) else ""
    return answer(request, status, detail, headers={"Retry-After": str(RETRY_SECONDS)} if status == 503 else None)


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "…")) else f"{text}."


def invalid(request: Request, error: Exception) -> Response:
    """Answer what FastAPI found wrong with parameters or body.

    Args:
        request: What was asked.
        error: A `RequestValidationError`.

    Returns:
        400 for a body that is no JSON, else 422 with one entry a value.
    """
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    broken = next((e for e in found if e["type"] == "json_invalid"), None)
    if broken is not None:
        return answer(request, 400, f"the body is no JSON: {broken.get('ctx', {}).get('error', 'it ends too early')}.")
    errors = [_entry(e) for e in found]
    first = errors[0]
    where = first.get("parameter") or first.get("pointer") or "the body"
    return answer(request, 422, f"{where}: {first['detail']}.", errors=errors)


def _entry(error: Mapping[str, Any]) -> dict[str, str]:
    place, *rest = [str(part) for part in error["loc"]]
    words = str(error["msg"]).removeprefix("Value error, ")
    words = words[:1].lower() + words[1:]
    if place == "body":
        return {"detail": words, "pointer": "#" + "".join(f"/{part}" for part in rest)}
    return {"detail": words, "parameter": rest[0] if rest else place}


def unexpected(request: Request, error: Exception) -> Response:
    """Answer a fault without telling anything about it; the server logs it with the number of the request.

    Args:
        request: What was asked.
        error: Anything.

    Returns:
        Status 500.
    """
    return answer(request, 500)


handlers: dict[Any, Callable[[Request, Exception], Response]] = {
    HTTPException: refused,
    OverparamError: ours,
    RequestValidationError: invalid,
    Exception: unexpected,
}


def problem_type(request: Request) -> Response:
    """Explain a kind of problem."""
    kind = BY_NAME.get(request.path_params["name"])
    if kind is None:
        raise NotFound(f"no kind of problem is called {request.path_params['name'][:40]!r}")
    return page(request, "problem_type.html.jinja", kind=kind)


routes = [Route("/problems/{name}", problem_type)]
