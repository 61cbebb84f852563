"""The application: every operation at its path, the page, the description, and one form of errors."""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any
from urllib.parse import unquote

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from angulus.errors import AngulusError, BundleError, FacesError, GalleryError, ServiceError
from angulus.serve.records.keys import OPEN, KeyRing
from angulus.serve.requests import NOTHING
from angulus.serve.service import Service
from angulus.serve.web.bodies import Budget, read_given
from angulus.serve.web.examples import answered, parameters, request_body
from angulus.serve.web.gate import MOST_HEAD, Access, Gate
from angulus.serve.web.operations import Call, Operation, operations
from angulus.version import __version__

PAGE = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/photos.js": ("photos.js", "text/javascript; charset=utf-8"),
    "/rates.js": ("rates.js", "text/javascript; charset=utf-8"),
}
ABOUT = """Decisions about faces with their error rates: verify, enrol, search.

A key is sent as `Authorization: Bearer KEY`. Photos are sent as multipart/form-data, or in base64 as application/json.
Errors have one form: `{"error": {"code", "message", "request"}}`. What is not known, or was not asked for, is absent.
"""


def create_app(service: Service, ring: KeyRing | None) -> FastAPI:
    """The application.  ring: the keys; None for none, on the loopback alone."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None, None]:
        yield
        service.close()

    budget = Budget(service.settings.limits.open_bytes)
    service.metrics.follow("open_bytes", "Bytes of bodies that are held.", lambda: budget.taken)
    app = FastAPI(
        **{"title": "Angulus", "version": __version__, "lifespan": lifespan, "docs_url": None, "redoc_url": None},
        **{"openapi_url": "/v1/openapi.json", "description": ABOUT},
        redirect_slashes=False,  # it would lead to whatever host a request names
    )
    access = Access(ring)
    for operation in operations(service):
        _add(app, operation, _endpoint(operation, service, access, budget))
    _add_page(app)
    app.add_exception_handler(AngulusError, _refused)
    app.add_exception_handler(HTTPException, _unknown)
    app.add_exception_handler(Exception, _broken)

    def finished(scope: Scope, status: int, seconds: float) -> None:
        service.metrics.finished(scope["state"].get("operation", "other"), status, seconds)

    app.add_middleware(Gate, budget=budget, finished=finished, too_long=_too_long)
    _describe_keys(app)
    return app


def _endpoint(
    operation: Operation, service: Service, access: Access, budget: Budget
) -> Callable[[Request], Awaitable[Any]]:
    """Admit, read, run: nothing of a body is read before it is known who asks."""
    limits = service.settings.limits

    async def endpoint(request: Request) -> Any:
        request.state.operation = operation.name
        key = OPEN if operation.role is None else access.check(request, operation.role)
        given = await read_given(request, operation.form, limits, budget) if operation.form else NOTHING
        parts = {name: unquote(str(value)) for name, value in request.path_params.items()}
        call = Call(
            **{"request": request.state.request, "key": key, "given": given, "parts": parts},
            query=dict(request.query_params),
        )
        found = await operation.run(call)
        if operation.answer is None:
            return Response(found, media_type="text/plain; version=0.0.4; charset=utf-8")
        if operation.answer is bytes:
            return Response(found, media_type="image/png")
        if operation.name == "health" and found.status != "ready":
            return JSONResponse({"status": found.status, "version": found.version}, 503)
        return found

    return endpoint


def _add(app: FastAPI, operation: Operation, endpoint: Callable[[Request], Awaitable[Any]]) -> None:
    extra: dict[str, Any] = {"parameters": parameters(operation)}
    if operation.form is not None:
        extra["requestBody"] = request_body(operation.form)
    if operation.role is not None:
        extra["security"] = [{"key": []}]
    is_record = operation.answer not in (None, bytes)
    app.add_api_route(
        operation.path,
        endpoint,
        methods=[operation.method],
        operation_id=operation.name,
        summary=operation.summary,
        status_code=operation.status,
        response_model=operation.answer if is_record else None,
        response_model_exclude_none=True,
        response_class=JSONResponse if is_record else Response,
        responses=answered(operation),
        openapi_extra=extra,
    )


def _add_page(app: FastAPI) -> None:
    folder = files("angulus.serve") / "page"

    def served(name: str, kind: str) -> Callable[[Request], Awaitable[Response]]:
        content = (folder / name).read_bytes()

        async def page(request: Request) -> Response:
            request.state.operation = "page"
            return Response(content, media_type=kind)

        return page

    for path, (name, kind) in PAGE.items():
        app.add_api_route(path, served(name, kind), methods=["GET"], include_in_schema=False)


def _describe_keys(app: FastAPI) -> None:
    """Say in the description how a key is sent."""
    described = app.openapi()
    schemes = described.setdefault("components", {}).setdefault("securitySchemes", {})
    schemes["key"] = {"type": "http", "scheme": "bearer", "description": "made by angulus serve keys add"}


async def _refused(request: Request, error: Exception) -> Response:
    if isinstance(error, ServiceError):
        return refusal(request, error.status, error.code, str(error), retry_after=error.retry_after)
    if isinstance(error, BundleError):
        return refusal(request, 409, "bundle", str(error))
    if isinstance(error, FacesError):
        return refusal(request, 422, "photo", str(error))
    if not isinstance(error, GalleryError):
        return await _broken(request, error)
    name = request.state.request  # where the gallery is, is for the log alone
    logging.getLogger(__name__).error("request %s could not use the gallery: %s", name, error)
    said = f"the gallery cannot be used now; the log of the service says why under {name}"
    return refusal(request, 503, "gallery", said, retry_after=10)


def _too_long(request: Request) -> Response:
    said = f"the path and headers of a request must have at most {MOST_HEAD:,} bytes: send less"
    return refusal(request, 431, "head", said)


async def _unknown(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    said = {404: "there is nothing at this path", 405: "this path does not take this method"}
    return refusal(request, status, "path", said.get(status, str(getattr(error, "detail", error))))


async def _broken(request: Request, error: Exception) -> Response:
    logging.getLogger(__name__).error("request %s failed", request.state.request, exc_info=error)
    return refusal(request, 500, "broken", f"the service failed; its log says why under {request.state.request}")


def refusal(request: Request, status: int, code: str, message: str, *, retry_after: int = 0) -> Response:
    """The one form of errors."""
    content = {"error": {"code": code, "message": message, "request": request.state.request}}
    headers = {"Retry-After": str(retry_after)} if retry_after else {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(content, status, headers)
