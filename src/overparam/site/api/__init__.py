"""The JSON API under /api/v1, and its description."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.datastructures import State
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

import overparam
from overparam.site.api import papers, people, runs, searching
from overparam.site.api.models import Problem
from overparam.site.api.strict import HeadAsGet
from overparam.site.problems import KINDS, MEDIA_TYPE, handlers
from overparam.site.views import page

PREFIX = "/api/v1"
WORDS = (
    "Papers, claims, verdicts, runs and trials as JSON. Reading needs nobody to sign in. Votes and runs need a token, "
    "sent as `Authorization: Bearer op_…`; the account page makes tokens. Lists come in pages: follow `Link` with "
    '`rel="next"`. Papers and runs carry a strong `ETag`. Errors are problem details (RFC 9457). Unknown parameters '
    "are errors. All times are UTC."
)


def make_api(state: State) -> FastAPI:
    """Build the API, to be mounted at `/api/v1`.

    Args:
        state: That of the site: ledger, overview, local.

    Returns:
        An application that shares the state.
    """
    api = FastAPI(
        title="overparam",
        version=overparam.__version__,
        description=WORDS,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        servers=[{"url": PREFIX}],
        exception_handlers=cast(Any, handlers),  # FastAPI knows only of handlers that are coroutines
        middleware=[Middleware(HeadAsGet)],
        routes=_routes(),
    )
    api.state = state
    return api


def _routes() -> list[BaseRoute]:
    described = [route for module in (papers, runs, searching, people) for route in module.router.routes]
    return [*described, Route("/openapi.json", _openapi), Route("/docs", _docs)]


def description(api: FastAPI) -> dict[str, Any]:
    """Describe the API in OpenAPI 3.1.

    Args:
        api: As made by `make_api`.

    Returns:
        Plain data.
    """
    if api.openapi_schema is None:
        schema = get_openapi(
            title=api.title,
            version=api.version,
            description=api.description,
            routes=api.routes,
            servers=api.servers,
        )
        problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        entry = problem.pop("$defs")["ProblemEntry"]
        schema["components"]["schemas"] |= {"Problem": problem, "ProblemEntry": entry}
        for operations in schema["paths"].values():
            for operation in operations.values():
                _with_problems(operation)
        api.openapi_schema = schema
    return api.openapi_schema


def _with_problems(operation: dict[str, Any]) -> None:
    """Say of every refusal what it looks like."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    expected = [400, 404, 422, 429, 503]
    expected += [401, 403] if operation.get("security") else []
    expected += [413, 415] if "requestBody" in operation else []
    expected += [409] if "409" in operation["responses"] else []
    for status in sorted(expected):
        operation["responses"][str(status)] = {"description": KINDS[status].title, "content": content}


def write_openapi(path: Path) -> None:
    """Write the description to a file.

    Args:
        path: The file.
    """
    text = json.dumps(description(make_api(State())), indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def _openapi(request: Request) -> Response:
    return JSONResponse(description(request.app), headers={"Cache-Control": "public, max-age=300"})


def _docs(request: Request) -> Response:
    operations = [
        {
            "method": method.upper(),
            "path": PREFIX + path,
            "id": operation["operationId"],
            "summary": operation["summary"],
            "words": operation["description"],
            "token": "security" in operation,
            "parameters": [_parameter(parameter) for parameter in operation.get("parameters", [])],
        }
        for path, item in description(request.app)["paths"].items()
        for method, operation in item.items()
    ]
    return page(request, "api.html.jinja", words=WORDS, operations=operations, prefix=PREFIX)


def _parameter(described: dict[str, Any]) -> dict[str, Any]:
    forms = described["schema"].get("anyOf", [described["schema"]])
    choices = [choice for form in forms for choice in form.get("enum", [])]
    words = described.get("description", "")
    return {"name": described["name"], "needed": described["required"], "words": words, "choices": choices}
