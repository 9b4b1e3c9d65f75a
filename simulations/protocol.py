"""Every message of the play socket, in and out; `docs/protocol.md` is generated from this.

The socket is `/ws/play/<session id>/`. The client opens it and sends `resume` with the last
`sequence` it saw (0 at first); the server answers `welcome` with what changed since. Messages with
a `sequence` are durable: the same comes again after a reconnect. Messages without one
(`turnStarted`, `replyDelta`, `replyReady`, `replyWithdrawn`) are for watching only and may be
missed; the `turn` that follows holds everything.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from costs.schemas import StrictModel
from simulations.schemas import AppliedEffect, TurnNote

PROTOCOL_VERSION = 1
MAX_INPUT = 2000

ClientKey = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{8,64}$")]
Scalar = bool | float | str


class Say(StrictModel):
    """The player acts: free text or an option, not both.

    Attributes:
        clientKey: Chosen by the client, new for each input; the same key is the same turn.
        text: What the player says, at most 2,000 characters.
        option: The intent of an option that the scene offers.
    """

    type: Literal["say"]
    clientKey: ClientKey
    text: str = ""
    option: Annotated[str, Field(max_length=40)] = ""


class Resume(StrictModel):
    """The client tells the last sequence it saw; the answer is `welcome`."""

    type: Literal["resume"]
    after: Annotated[int, Field(ge=0)] = 0


class Ping(StrictModel):
    """Asks whether the server is there; the answer is `pong`."""

    type: Literal["ping"]


ClientMessage = Annotated[Say | Resume | Ping, Field(discriminator="type")]


class AgentView(StrictModel):
    slug: str
    name: str
    role: str
    glyph: str
    color: str


class VariableView(StrictModel):
    """A state variable that the player may see, and how to draw it."""

    slug: str
    title: str
    kind: Literal["number", "choice", "flag"]
    minimum: float
    maximum: float
    unit: str
    better: Literal["higher", "lower", "neutral"]
    help: str
    buckets: list[str]


class OptionView(StrictModel):
    intent: str
    label: str


class SceneView(StrictModel):
    """Where the story stands now.

    Attributes:
        turn: Number of the last finished turn.
        agents: Slugs of who is in the room.
        state: The variables the player may see.
        buckets: Variable slug to the word of the bucket it is in.
    """

    turn: int
    situation: str
    title: str
    description: str
    agents: list[str]
    options: list[OptionView]
    state: dict[str, Scalar]
    buckets: dict[str, str]


class ReplyView(StrictModel):
    """One agent's answer.

    Attributes:
        source: `hit` from the database, `shared` with somebody who asked the same at that moment,
            `model`, or `line`, the one the author wrote for when nothing else is left.
        rung: The step of the ladder that gave it.
        status: `withdrawn` replies broke in mid-stream and were replaced; they stay on record.
    """

    id: int
    agent: str
    position: int
    status: Literal["done", "withdrawn"]
    source: Literal["hit", "shared", "model", "line"]
    rung: str
    text: str
    model: str
    clientKind: str
    costNano: int
    savedNano: int
    tokens: int
    totalMs: float


class TurnView(StrictModel):
    """One turn, the same on the socket, in the API and in exports.

    Attributes:
        intentTitle: The intent in the author's words; empty when none was recognised.
        changes: What the turn changed, as far as the player may see it.
        costNano: Nano-dollars that the turn's model calls cost.
        savedNano: Nano-dollars that stored replies saved.
    """

    id: int
    branch: int
    number: int
    sequence: int
    trigger: Literal["player", "agent", "event", "author"]
    status: Literal["open", "done", "interrupted"]
    clientKey: str
    inputText: str
    intent: str
    intentTitle: str
    intentPath: str
    situation: str
    nextSituation: str
    replies: list[ReplyView]
    notes: list[TurnNote]
    changes: list[AppliedEffect]
    outcome: str
    costNano: int
    savedNano: int
    totalMs: float
    startedAt: str


class MoneyView(StrictModel):
    """The session's money in nano-dollars: spent, saved by stored replies, and its budget."""

    spentNano: int
    savedNano: int
    limitNano: int


class SessionView(StrictModel):
    id: str
    simulation: str
    title: str
    playerRole: str
    opening: str
    turnLimit: int
    mode: Literal["live", "test", "sealed"]
    status: Literal["running", "won", "lost", "ended"]
    outcome: str
    language: str
    createdAt: str


class Welcome(StrictModel):
    """The answer to `resume`.

    Attributes:
        turns: Turns that changed after the sequence the client named, oldest first, at most 200.
        more: Whether older turns were left out.
        openTurn: The clientKey of a turn that runs now, else empty.
        modelNote: Which model answers what isn't stored, in words.
    """

    type: Literal["welcome"] = "welcome"
    protocol: int = PROTOCOL_VERSION
    sequence: int
    session: SessionView
    agents: list[AgentView]
    variables: list[VariableView]
    scene: SceneView
    turns: list[TurnView]
    more: bool
    openTurn: str
    money: MoneyView
    modelNote: str


class TurnStarted(StrictModel):
    """A turn runs that has to ask a model."""

    type: Literal["turnStarted"] = "turnStarted"
    clientKey: str
    number: int
    inputText: str
    agents: list[str]


class ReplyDelta(StrictModel):
    """A piece of a reply as it streams; `replyId` is `<turn id>.<position>`.

    Attributes:
        offset: Where the piece begins, in characters; a gap means that a piece was missed.
    """

    type: Literal["replyDelta"] = "replyDelta"
    clientKey: str
    replyId: str
    agent: str
    offset: int
    text: str


class ReplyReady(StrictModel):
    """A whole reply of a turn that still waits for others."""

    type: Literal["replyReady"] = "replyReady"
    clientKey: str
    replyId: str
    agent: str
    text: str


class ReplyWithdrawn(StrictModel):
    """What streamed under this id is void; something else comes."""

    type: Literal["replyWithdrawn"] = "replyWithdrawn"
    clientKey: str
    replyId: str


class TurnMessage(StrictModel):
    """A finished turn, and where the story stands after it."""

    type: Literal["turn"] = "turn"
    sequence: int
    turn: TurnView
    scene: SceneView
    money: MoneyView
    status: Literal["running", "won", "lost", "ended"]
    outcome: str


class ErrorMessage(StrictModel):
    """What went wrong; the socket stays open unless the code is `sessionNotFound`."""

    type: Literal["error"] = "error"
    code: str
    message: str
    hint: str
    details: dict[str, Any] = {}
    clientKey: str = ""


class Pong(StrictModel):
    type: Literal["pong"] = "pong"


ServerMessage = (
    Welcome | TurnStarted | ReplyDelta | ReplyReady | ReplyWithdrawn | TurnMessage | ErrorMessage | Pong
)

clientMessages: TypeAdapter[Say | Resume | Ping] = TypeAdapter(ClientMessage)
