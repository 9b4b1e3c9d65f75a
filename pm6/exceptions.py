"""Every failure that pm6 reports: one hierarchy, each with a code, a sentence and a hint."""

from __future__ import annotations

from typing import Any, ClassVar


class PM6Error(Exception):
    """The root of everything pm6 raises on purpose.

    Args:
        message: What happened, in a sentence that a person understands.
        hint: What the person can do about it; the class's own hint when left out.
        details: Facts for a program: names, limits, places. JSON values only.

    Attributes:
        code: A stable word for programs, unique to the class.
        httpStatus: The HTTP status that the API answers with.
        retryable: Whether the same call may succeed a little later.
    """

    code: ClassVar[str] = "internalError"
    httpStatus: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    defaultHint: ClassVar[str] = "Look into the server's log for the cause."

    def __init__(self, message: str, *, hint: str = "", details: dict[str, Any] | None = None):
        super().__init__(message)
        self.message = message
        self.hint = hint or self.defaultHint
        self.details = details or {}

    def asDict(self) -> dict[str, Any]:
        """Returns the error as every surface shows it."""
        return {
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
            "details": self.details,
        }


class InvalidInputError(PM6Error):
    """What came in is not of the form that was asked for."""

    code = "invalidInput"
    httpStatus = 400
    defaultHint = "Correct the input and send it again."


class InputTooLongError(InvalidInputError):
    code = "inputTooLong"
    httpStatus = 413
    defaultHint = "Say it in fewer words."


class UnknownOptionError(InvalidInputError):
    code = "unknownOption"
    httpStatus = 422
    defaultHint = "Choose one of the options that the session offers now."


class ForbiddenActionError(InvalidInputError):
    """A rule of the simulation forbids this now."""

    code = "forbiddenAction"
    httpStatus = 422
    defaultHint = "Choose another action."


class NotFoundError(PM6Error):
    code = "notFound"
    httpStatus = 404
    defaultHint = "Check the name; what belongs to somebody else isn't shown."


class SessionNotFoundError(NotFoundError):
    code = "sessionNotFound"
    defaultHint = "Start a new session, or sign in as the one who started it."


class SimulationNotFoundError(NotFoundError):
    code = "simulationNotFound"
    defaultHint = "List the simulations to see their names."


class AgentNotFoundError(NotFoundError):
    code = "agentNotFound"
    defaultHint = "Name an agent of this simulation."


class TurnInProgressError(PM6Error):
    code = "turnInProgress"
    httpStatus = 409
    retryable = True
    defaultHint = "Wait until the turn that runs is finished."


class SessionEndedError(PM6Error):
    code = "sessionEnded"
    httpStatus = 409
    defaultHint = "Start a new session."


class TurnSupersededError(PM6Error):
    """The turn's lease was taken by somebody else; what this process did is void."""

    code = "turnSuperseded"
    httpStatus = 409
    retryable = True
    defaultHint = "Send the same input again with the same clientKey."


class RateLimitError(PM6Error):
    code = "rateLimited"
    httpStatus = 429
    retryable = True
    defaultHint = "Wait a moment before the next message."


class AccessError(PM6Error):
    code = "accessDenied"
    httpStatus = 403
    defaultHint = "Sign in with an account that may do this."


class CostLimitError(PM6Error):
    """A budget has no room for the call, and nothing is left that costs nothing."""

    code = "costLimit"
    httpStatus = 402
    defaultHint = "Raise the budget, or approve variants for this situation."


class UnknownPriceError(PM6Error):
    """A model without a known price is never called."""

    code = "unknownPrice"
    httpStatus = 503
    defaultHint = "Add a price rule for the model, or choose another model."


class SignatureMatchError(PM6Error):
    """Stored components don't hash to their signature, or a sealed session has nothing to serve."""

    code = "signatureMismatch"
    httpStatus = 409
    defaultHint = "Run checkPack, or play in a mode that may ask a model."


class ModelError(PM6Error):
    """A model could not answer."""

    code = "modelFailed"
    httpStatus = 503
    defaultHint = "Try again; if it goes on, look at the model's status."


class ModelUnavailableError(ModelError):
    code = "modelUnavailable"
    retryable = True


class ModelRateLimitError(ModelUnavailableError):
    code = "modelRateLimited"


class ModelCredentialError(ModelError):
    code = "modelCredential"
    defaultHint = "Set ANTHROPIC_API_KEY in .env to a valid key and start again."


class ModelRequestError(ModelError):
    code = "modelRequest"


class PackError(PM6Error):
    """A pack's files are wrong; `details["problems"]` lists each with its file and line."""

    code = "invalidPack"
    httpStatus = 422
    defaultHint = "Mend the named places and load the pack again."


class ConfigurationError(PM6Error):
    code = "configuration"
    defaultHint = "Look at .env.example for the setting."
