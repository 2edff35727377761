"""What all operations share: strict parameters, tags of content, pages with links, and who may write."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Path, Query, Security, params
from fastapi.dependencies.utils import get_flat_params
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from overparam.site.viewer import Viewer, viewer_of

After = Annotated[
    str | None,
    Query(
        max_length=500,
        description="Cursor of the next page, from the page before",
        json_schema_extra={"pattern": "^[A-Za-z0-9_-]+$"},
    ),
]
Key = Annotated[str, Path(description="Slug, arXiv identifier or id of a paper", examples=["data-diet"])]
Limit = Annotated[int, Query(ge=1, le=100, description="Most entries on the page")]
bearer = HTTPBearer(auto_error=False, scheme_name="token", description="A token from the account page")
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def link(operation: str, words: str, **parameters: str) -> dict[str, Any]:
    """Describe how an answer leads to another operation.

    Args:
        operation: Its id.
        words: What it leads to.
        **parameters: Where in the answer each of its parameters stands, as a JSON pointer.

    Returns:
        A link object of OpenAPI.
    """
    places = {name: f"$response.body#{pointer}" for name, pointer in parameters.items()}
    return {"operationId": operation, "description": words, "parameters": places}


class KeyConvertor(Convertor[str]):
    """A paper in an address: a slug, an id, or an arXiv identifier, of which old ones hold a slash."""

    regex = r"[^/]+|[a-z-]+(?:\.[A-Z]{2})?/[0-9]{7}"

    def convert(self, value: str) -> str:
        """Take it as it is."""
        return value

    def to_string(self, value: str) -> str:
        """Write it as it is."""
        return value


register_url_convertor("key", KeyConvertor())


class StrictRoute(APIRoute):
    """An operation that refuses what it does not know, and tags what it answers."""

    def get_route_handler(self) -> Handler:
        """Wrap the handler of FastAPI.

        Returns:
            A handler that checks parameters first and content last.
        """
        inner = super().get_route_handler()
        parameters = get_flat_params(self.dependant)
        declared = {p.alias for p in parameters if isinstance(p.field_info, params.Query)}

        async def handler(request: Request) -> Response:
            _check(request, declared)
            if self.body_field is not None:
                _check_type(request)
            return _tagged(request, await inner(request))

        return handler


def _check(request: Request, declared: set[str]) -> None:
    for name, value in request.query_params.multi_items():
        if name not in declared:
            known = f"it takes {', '.join(sorted(declared))}" if declared else "it takes none"
            raise HTTPException(400, f"unknown parameter {name[:40]!r}; {known}.")
        if "\x00" in value:
            raise HTTPException(400, f"{name}: text without the character NUL is wanted.")
    if "\x00" in request.url.path or any("\x00" in str(part) for part in request.path_params.values()):
        raise HTTPException(404)


def _check_type(request: Request) -> None:
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != "application/json":
        raise HTTPException(415, f"The body must be application/json, not {given[:60] or 'without a type'}.")


def _tagged(request: Request, response: Response) -> Response:
    if request.method != "GET" or response.status_code != 200:
        return response
    tag = f'"{hashlib.sha256(response.body).hexdigest()[:32]}"'
    response.headers.setdefault("Cache-Control", "no-cache")
    response.headers["ETag"] = tag
    given = [part.strip().removeprefix("W/") for part in request.headers.get("if-none-match", "").split(",")]
    if tag not in given and "*" not in given:
        return response
    kept = {name: response.headers[name] for name in ("ETag", "Cache-Control", "Link") if name in response.headers}
    return Response(status_code=304, headers=kept)


class HeadAsGet:
    """Answers HEAD as GET without the body.

    Args:
        app: The API.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            return await self.app(scope, receive, send)
        inside: Scope = {**scope, "method": "GET"}

        async def without_body(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        try:
            await self.app(inside, receive, without_body)
        finally:
            scope.update({key: inside[key] for key in ("route", "endpoint", "path_params") if key in inside})


def link_next(request: Request, response: Response, cursor: str | None) -> str | None:
    """Say in a header where a list goes on.

    Args:
        request: What was asked.
        response: Gets the header.
        cursor: Of the next page.

    Returns:
        The cursor.
    """
    if cursor is not None:
        query = {**dict(request.query_params), "after": cursor}
        response.headers["Link"] = f'<{request.url.path}?{urlencode(query)}>; rel="next"'
    return cursor


def _signed_in(request: Request) -> Viewer:
    viewer = viewer_of(request)
    if viewer.account_id is None:
        words = "Sign in, or send a token as `Authorization: Bearer op_…`."
        raise HTTPException(401, words, headers={"WWW-Authenticate": 'Bearer realm="overparam"'})
    return viewer


def _voter(request: Request, _: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)]) -> Viewer:
    viewer = _signed_in(request)
    if not viewer.may_vote:
        raise HTTPException(403, f"This token has scope {viewer.scope}; votes need scope vote.")
    return viewer


def _runner(request: Request, _: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)]) -> Viewer:
    viewer = _signed_in(request)
    if not viewer.may_run:
        raise HTTPException(403, f"This token has scope {viewer.scope}; runs need scope run.")
    return viewer


Voter = Annotated[Viewer, Security(_voter)]
Runner = Annotated[Viewer, Security(_runner)]
