"""Every failure of the API in one shape: `{"error": {code, message, hint, details}}`."""

from __future__ import annotations

import logging
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response

from pm6.exceptions import (
    AccessError,
    InputTooLongError,
    InvalidInputError,
    NotFoundError,
    PM6Error,
    RateLimitError,
)

logger = logging.getLogger("pm6.api")


def answerError(error: Exception, context: dict[str, Any]) -> Response:
    """Translates any exception of a view."""
    known = translateError(error)
    if known.httpStatus >= 500 and known is not error:
        logger.error("an API call failed", exc_info=error)
    response = Response({"error": known.asDict()}, status=known.httpStatus)
    if "retryAfterSeconds" in known.details:
        response["Retry-After"] = str(known.details["retryAfterSeconds"])
    return response


def translateError(error: Exception) -> PM6Error:
    """Returns the error of ours that says the same."""
    if isinstance(error, PM6Error):
        return error
    if isinstance(error, Http404 | exceptions.NotFound):
        return NotFoundError("There is nothing here.")
    if isinstance(error, PermissionDenied | exceptions.PermissionDenied | exceptions.NotAuthenticated):
        return AccessError("This isn't yours to do.")
    if isinstance(error, exceptions.Throttled):
        return RateLimitError(
            "Too many requests.", details={"retryAfterSeconds": round(getattr(error, "wait", None) or 1)}
        )
    if isinstance(error, RequestDataTooBig):
        return InputTooLongError("The request is too large.")
    if isinstance(error, RecursionError):
        return InvalidInputError("The JSON is nested too deeply.")
    if isinstance(error, exceptions.APIException) and error.status_code < 500:
        return RequestFormError(error)
    return PM6Error("Something went wrong on the server.")


class RequestFormError(InvalidInputError):
    """A request that the framework itself refuses, with the framework's own status."""

    def __init__(self, error: exceptions.APIException):
        super().__init__(str(error.detail), details={"reason": str(error.get_codes())})
        self.httpStatus = error.status_code  # type: ignore[misc]
