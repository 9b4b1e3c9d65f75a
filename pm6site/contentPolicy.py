"""The content security policy: nothing from outside, nothing inline, looser only in the admin."""

from __future__ import annotations

from collections.abc import Callable

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware

STRICT = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self' {sockets}; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; "
    "object-src 'none'"
)
# The admin's own scripts evaluate expressions and style inline.
ADMIN = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; frame-ancestors 'none'; base-uri 'self'; form-action 'self'; object-src 'none'"
)


def _setPolicy(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    if request.path.startswith("/admin/"):
        policy = ADMIN
    else:
        # Some browsers don't count ws: as 'self'.
        scheme = "wss" if request.is_secure() else "ws"
        policy = STRICT.format(sockets=f"{scheme}://{request.META.get('HTTP_HOST', '')}")
    response.headers.setdefault("Content-Security-Policy", policy)
    response.headers.setdefault("Referrer-Policy", "same-origin")
    return response


@sync_and_async_middleware
def contentPolicyMiddleware(getResponse: Callable) -> Callable:
    if iscoroutinefunction(getResponse):

        async def asyncMiddleware(request: HttpRequest) -> HttpResponse:
            return _setPolicy(request, await getResponse(request))

        markcoroutinefunction(asyncMiddleware)
        return asyncMiddleware

    def middleware(request: HttpRequest) -> HttpResponse:
        return _setPolicy(request, getResponse(request))

    return middleware
