"""The official SDK against any Messages endpoint: the only module that imports it."""

from __future__ import annotations

import asyncio
import importlib
import logging
import math
import sys
import time
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from email.utils import mktime_tz, parsedate_tz
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from agents.llm.client import ClientKind, Finished, ModelRequest, PartialUsage, TextDelta
from agents.llm.loopLocal import LoopLocal
from agents.llm.streamReading import StreamReading
from agents.llm.thinking import buildThinkingOptions
from pm6.exceptions import (
    ConfigurationError,
    ModelCredentialError,
    ModelError,
    ModelRateLimitError,
    ModelRequestError,
    ModelUnavailableError,
)

if TYPE_CHECKING:
    import anthropic

T = TypeVar("T")

DEFAULT_BASE_URL = "https://api.anthropic.com"
LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
CHECK_SECONDS = 15.0
CONNECT_SECONDS = 10.0
DRAIN_SECONDS = 1.0

# An error event inside a stream comes with status 200; its type says what it would have been.
STATUS_OF_TYPE = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
CREDENTIAL_STATUSES = frozenset({401, 402, 403})
PASSING_STATUSES = frozenset({408, 409})


class AnthropicClient:
    """Streams calls to a Messages endpoint, without any retry of its own.

    Args:
        apiKey: Never part of an error or a log line.
        baseUrl: The endpoint; Anthropic's own when left out.
        kind: What the ledger calls this client.
        streamsText: Whether its text may be shown while it comes.

    Raises:
        ModelCredentialError: The key can't be one.
    """

    def __init__(
        self,
        apiKey: str,
        baseUrl: str | None = None,
        kind: ClientKind = "anthropic",
        streamsText: bool = True,
    ):
        self.kind = kind
        self.streamsText = streamsText
        self.baseUrl = baseUrl or DEFAULT_BASE_URL
        self._apiKey = checkKeyForm(apiKey)
        self._sdks: LoopLocal[anthropic.AsyncAnthropic] = LoopLocal(self._buildSdk)

    def __repr__(self) -> str:
        return f"AnthropicClient(kind={self.kind!r}, baseUrl={self.baseUrl!r})"

    async def stream(
        self, request: ModelRequest, partial: PartialUsage
    ) -> AsyncGenerator[TextDelta | Finished, None]:
        """Streams one call; see `ModelClient`."""
        checkCallAllowed(self.baseUrl)
        await loadSdk()
        reading = StreamReading(request, partial)
        abandoned = False
        try:
            async with aclosing(self._readTexts(request, reading)) as texts:
                async for text in texts:
                    yield TextDelta(text)
            finished = reading.finish()
        except (asyncio.CancelledError, GeneratorExit):
            abandoned = True
            raise
        except ModelError as error:
            abandoned = error.details.get("reason") == "timeout"
            raise
        finally:
            reading.settle(abandoned=abandoned)
        yield finished

    async def checkCredential(self) -> None:
        """Asks the endpoint for something that costs nothing, to know that the key works.

        Raises:
            ModelError: As a real call would.
        """
        checkCallAllowed(self.baseUrl)
        await loadSdk()
        await self._step(self._sdks.get().models.list(limit=1), computeDeadline(CHECK_SECONDS))

    async def close(self) -> None:
        """Closes the running loop's connections."""
        sdk = self._sdks.pop()
        if sdk is not None:
            await sdk.close()

    async def _readTexts(self, request: ModelRequest, reading: StreamReading) -> AsyncGenerator[str, None]:
        deadline = computeDeadline(request.timeoutSeconds)
        events = await self._step(self._open(request), deadline)
        reading.partial.requestId = events.response.headers.get("request-id", "")
        try:
            while (event := await self._step(anext(events, None), deadline)) is not None:
                if text := reading.take(event):
                    yield text
                if reading.complete:
                    await self._drain(events)
                    return
        finally:
            await events.close()

    async def _open(self, request: ModelRequest) -> anthropic.AsyncStream[Any]:
        import httpx2

        body: dict[str, Any] = {
            "model": request.model,
            "max_tokens": request.maxTokens,
            "system": buildSystem(request),
            "messages": [{"role": message.role, "content": message.text} for message in request.messages],
            **buildThinkingOptions(request.model),
        }
        timeout = httpx2.Timeout(request.timeoutSeconds, connect=CONNECT_SECONDS)
        events: anthropic.AsyncStream[Any] = await self._sdks.get().messages.create(
            **body, stream=True, timeout=timeout
        )
        return events

    async def _drain(self, events: Any) -> None:
        """Reads the answer to its last byte, so that the connection can be used again."""
        try:
            await self._step(anext(events, None), computeDeadline(DRAIN_SECONDS))
        except ModelError:
            # The reply is complete; how its connection ended is nobody's business.
            return

    async def _step(self, awaitable: Awaitable[T], deadline: float) -> T:
        """Awaits one step of a call and translates what goes wrong in it.

        A timeout around the whole generator would strike while its consumer is at work.
        """
        import anthropic
        import httpx2

        try:
            async with asyncio.timeout_at(deadline):
                return await awaitable
        except (TimeoutError, httpx2.TimeoutException, anthropic.APITimeoutError) as error:
            # A call that never found its way out has cost nothing; see `StreamReading.settle`.
            unsent = isinstance(error.__cause__ or error, (httpx2.ConnectTimeout, httpx2.PoolTimeout))
            failure: ModelError = ModelUnavailableError(
                "The model took too long to answer.",
                details={"reason": "connection" if unsent else "timeout"},
            )
        except anthropic.APIStatusError as error:
            failure = self._translateStatus(error)
        except (anthropic.APIConnectionError, httpx2.HTTPError, httpx2.StreamError, OSError) as error:
            failure = ModelUnavailableError(
                "The connection to the model failed.",
                details={"reason": "connection", "cause": type(error.__cause__ or error).__name__},
            )
        except (anthropic.AnthropicError, ValueError, TypeError, AttributeError) as error:
            failure = ModelUnavailableError(
                "The model's answer can't be read.",
                details={"reason": "malformedStream", "cause": type(error).__name__},
            )
        # Raised outside of the handlers: what the SDK's errors say may quote the request.
        raise failure

    def _translateStatus(self, error: anthropic.APIStatusError) -> ModelError:
        status = error.status_code
        if status < 300:
            status = STATUS_OF_TYPE.get(error.type or "", 500)
        details: dict[str, Any] = {
            "status": status,
            "requestId": error.request_id or "",
            "providerMessage": self._hideKey(error.api_message or "")[:300],
        }
        retryAfter = readRetryAfter(error.response.headers)
        if retryAfter is not None:
            details["retryAfterSeconds"] = retryAfter
        return buildStatusError(status, details)

    def _hideKey(self, text: Any) -> str:
        return str(text).replace(self._apiKey, "[key]")

    def _buildSdk(self) -> anthropic.AsyncAnthropic:
        import anthropic

        # At DEBUG the SDK logs whole requests, and prompts are never logged.
        logging.getLogger("anthropic").setLevel(logging.INFO)
        return anthropic.AsyncAnthropic(
            api_key=self._apiKey,
            base_url=self.baseUrl,
            max_retries=0,
            http_client=buildHttpClient(self.baseUrl, keepsConnections=self.kind != "local"),
            open_telemetry=False,
        )


async def loadSdk() -> None:
    """Imports the SDK in a thread: it takes a second or more, and a server has others to serve."""
    if "anthropic.resources.messages" not in sys.modules:
        await asyncio.to_thread(importlib.import_module, "anthropic.resources.messages")


def buildHttpClient(baseUrl: str, keepsConnections: bool = True) -> Any:
    """Returns the HTTP client: never a proxy for this machine, never a redirect with the key.

    Args:
        baseUrl: Whom it will talk to.
        keepsConnections: False for a server on this machine that may close an idle connection
            in the moment in which the next request is sent; a new one costs nothing there.
    """
    import anthropic
    import httpx2

    try:
        if not isLocal(baseUrl):
            return anthropic.DefaultAsyncHttpxClient(follow_redirects=False)
        # The SDK's own default would mount the environment's proxies even without `trust_env`.
        limits = httpx2.Limits(max_keepalive_connections=None if keepsConnections else 0)
        return httpx2.AsyncClient(trust_env=False, follow_redirects=False, limits=limits)
    except (httpx2.InvalidURL, ValueError):
        raise ConfigurationError("A proxy or base URL for the model is not a URL.") from None


def buildSystem(request: ModelRequest) -> list[dict[str, Any]]:
    """Returns the system prompt's blocks; the API refuses empty ones."""
    return [
        {"type": "text", "text": block.text}
        | ({"cache_control": {"type": "ephemeral", "ttl": block.cache}} if block.cache else {})
        for block in request.system
        if block.text
    ]


def buildStatusError(status: int, details: dict[str, Any]) -> ModelError:
    """Returns our error for an HTTP status of the provider."""
    if status in CREDENTIAL_STATUSES:
        return ModelCredentialError("The provider refuses the API key.", details=details)
    if status == 429:
        return ModelRateLimitError("The provider's rate limit is reached.", details=details)
    if status >= 500 or status in PASSING_STATUSES:
        return ModelUnavailableError("The provider can't answer now.", details=details)
    return ModelRequestError(f"The provider refuses the request (status {status}).", details=details)


def readRetryAfter(headers: Any) -> float | None:
    """Returns the seconds that the provider asks to wait, if it says."""
    milliseconds = readNumber(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("retry-after")
    seconds = readNumber(text)
    if seconds is not None:
        return seconds
    date = parsedate_tz(text) if text else None
    return max(0.0, mktime_tz(date) - time.time()) if date else None


def readNumber(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return max(0.0, number) if math.isfinite(number) else None


def checkKeyForm(apiKey: str) -> str:
    """Returns the key without surrounding space.

    Raises:
        ModelCredentialError: It can't stand in a header, and the transport's complaint about
            that would quote it.
    """
    key = apiKey.strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise ModelCredentialError("The API key is empty or holds characters that no key has.")
    return key


def checkCallAllowed(baseUrl: str) -> None:
    """Lets tests call nobody but this machine.

    Raises:
        ConfigurationError: A real call under `PM6_BLOCK_REAL_CALLS`.
    """
    from django.conf import settings

    if not isLocal(baseUrl) and getattr(settings, "PM6_BLOCK_REAL_CALLS", False):
        raise ConfigurationError(
            f"A real call to {urlsplit(baseUrl).hostname} is blocked here.",
            hint="Use the scripted client or a stand-in on 127.0.0.1.",
        )


def isLocal(baseUrl: str) -> bool:
    return urlsplit(baseUrl).hostname in LOCAL_HOSTS


def computeDeadline(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds
