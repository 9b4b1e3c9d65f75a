"""What the files of a pack may hold: one pydantic model per kind of file."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from agents.agentConfig import AgentConfig
from costs.schemas import Bucket, Effect, Scalar, Slug, StrictModel
from costs.stateBucketing import checkBuckets

SCHEMA_VERSION = 1

Title = Annotated[str, Field(min_length=1, max_length=80)]
Text = Annotated[str, Field(min_length=1, max_length=4000)]
Expression = Annotated[str, Field(max_length=400)]
Dollars = Annotated[str, Field(pattern=r"^\d{1,7}(\.\d{1,9})?$")]
Sharing = Literal["open", "followUp", "private"]


class Visibility(StrictModel):
    """Who sees a state variable: the player's meters, and which agents are told of it."""

    player: bool = True
    agents: Literal["all"] | list[Slug] = "all"


class VariablePart(StrictModel):
    """A state variable.

    Attributes:
        kind: `number` falls into buckets; `choice` and `flag` stand for themselves.
        better: Which way is good for the player; colours the meter.
    """

    title: Title
    kind: Literal["number", "choice", "flag"] = "number"
    initial: Scalar
    minimum: float = 0
    maximum: float = 100
    unit: Annotated[str, Field(max_length=12)] = ""
    better: Literal["higher", "lower", "neutral"] = "neutral"
    buckets: list[Bucket] = Field(default_factory=list, max_length=9)
    choices: list[Slug] = Field(default_factory=list, max_length=12)
    visibility: Visibility = Visibility()
    help: Annotated[str, Field(max_length=300)] = ""

    def listProblems(self) -> list[str]:
        """Returns what is wrong with it by itself, each as a sentence."""
        if self.kind == "flag":
            return [] if isinstance(self.initial, bool) else ["a flag starts as true or false"]
        if self.kind == "choice":
            isKnown = self.initial in self.choices
            return [] if isKnown else ["the initial choice is not one of the choices"]
        if isinstance(self.initial, bool | str):
            return ["a number starts as a number"]
        problems = checkBuckets(self.buckets, self.minimum, self.maximum)
        if not self.minimum <= self.initial <= self.maximum:
            problems.append("the initial value is outside of minimum and maximum")
        return problems


class IntentPart(StrictModel):
    """Something the player can want.

    Attributes:
        words: The intent in the author's words; the only thing a shared prompt tells of it.
        phrases: Example sentences of players.
        patterns: Regular expressions (RE2, not case-sensitive) that must match the whole sentence.
        agents: Who answers it first, where the situation has them.
        effects: What it does to the state whatever is replied.
        nextSituation: Where it leads; empty stays.
    """

    title: Title
    words: Annotated[str, Field(min_length=1, max_length=400)]
    phrases: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field(min_length=1, max_length=400)
    patterns: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field(
        default_factory=list, max_length=20
    )
    agents: list[Slug] = Field(default_factory=list)
    effects: list[Effect] = Field(default_factory=list)
    sharing: Sharing | None = None
    nextSituation: Slug | Literal[""] = ""


class OptionPart(StrictModel):
    """A thing to click: an intent under a label of this situation."""

    intent: Slug
    label: Annotated[str, Field(min_length=1, max_length=120)]
    condition: Expression = ""
    nextSituation: Slug | Literal[""] = ""


class SituationTypePart(StrictModel):
    """A kind of moment.

    Attributes:
        description: Told to the player and, word for word, to the model.
        agents: Who is in the room, the first speaking first.
        agentsPerTurn: How many of them answer one input.
        variables: Which state variables a reply here depends on; the others don't split the cache.
    """

    title: Title
    description: Text
    agents: list[Slug] = Field(min_length=1)
    agentsPerTurn: Annotated[int, Field(ge=1, le=6)] = 1
    variables: list[Slug] = Field(default_factory=list)
    sharing: Sharing = "open"
    options: list[OptionPart] = Field(default_factory=list, max_length=12)


class RulePart(StrictModel):
    """A rule, checked after each turn in the order of the file (`forbid`: before it).

    Attributes:
        kind: `win` and `lose` end the session; `effect` changes the state; `event` starts an
            event; `move` changes the situation; `forbid` refuses the input.
        condition: CEL over `state`, `turn`, `situation`, `intent`.
        message: What the player reads when it fires.
        once: Fires at most once in a session.
        cooldown: Turns to wait before it may fire again.
    """

    title: Title
    kind: Literal["win", "lose", "effect", "event", "move", "forbid"]
    condition: Annotated[str, Field(min_length=1, max_length=400)]
    message: Annotated[str, Field(max_length=1000)] = ""
    effects: list[Effect] = Field(default_factory=list)
    event: Slug | Literal[""] = ""
    situation: Slug | Literal[""] = ""
    once: bool = False
    cooldown: Annotated[int, Field(ge=0, le=1000)] = 0


class EventPart(StrictModel):
    """Something that happens to the world; `then` names an event that follows at once."""

    title: Title
    text: Text
    effects: list[Effect] = Field(default_factory=list)
    situation: Slug | Literal[""] = ""
    then: Slug | Literal[""] = ""


class BudgetsPart(StrictModel):
    """Dollars as decimal strings; empty means no budget of that scope."""

    simulation: Dollars | Literal[""] = ""
    session: Dollars | Literal[""] = ""


class SimulationPart(StrictModel):
    """`simulation.yaml`."""

    schemaVersion: Literal[1]
    slug: Slug
    title: Title
    description: Annotated[str, Field(max_length=1000)]
    playerRole: Annotated[str, Field(min_length=1, max_length=120)]
    lore: Annotated[str, Field(max_length=20000)]
    opening: Text
    openingSituation: Slug
    fallbackAgent: Slug
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")] = "en"
    domain: Annotated[str, Field(max_length=80)] = ""
    complexity: Literal["small", "standard", "rich"] = "standard"
    model: Annotated[str, Field(max_length=80)] = ""
    serve: Literal["approved", "approvedAndPending"] = "approvedAndPending"
    serveDoubtful: bool = False
    targetVariants: Annotated[int, Field(ge=1, le=20)] = 3
    allowGuests: bool = False
    guestsMayUseModels: bool = False
    turnLimit: Annotated[int, Field(ge=0, le=100000)] = 0
    budgets: BudgetsPart = BudgetsPart()
    variables: dict[Slug, VariablePart]
    intents: dict[Slug, IntentPart]
    situationTypes: dict[Slug, SituationTypePart]
    rules: dict[Slug, RulePart] = Field(default_factory=dict)
    events: dict[Slug, EventPart] = Field(default_factory=dict)


class VariantPart(StrictModel):
    """One authored reply; slots such as `{approval}` show the state when it is served."""

    text: Annotated[str, Field(min_length=1, max_length=2000)]
    weight: Annotated[float, Field(gt=0, le=100)] = 1
    condition: Expression = ""
    effects: list[Effect] = Field(default_factory=list)


def readFlags(words: Any) -> Any:
    """Returns the words of a key with YAML's true and false as the words they stand for."""
    if not isinstance(words, dict):
        return words
    return {name: str(word).lower() if isinstance(word, bool) else word for name, word in words.items()}


class ResponsePart(StrictModel):
    """The replies of one agent in one situation type to one intent in certain buckets.

    Attributes:
        intent: Slug of the intent, or `any`.
        when: Variable slug to bucket, choice, `true`/`false`; what isn't named is `any`.
    """

    intent: Slug | Literal["any"]
    when: Annotated[dict[Slug, str], BeforeValidator(readFlags)] = Field(default_factory=dict)
    variants: list[VariantPart] = Field(min_length=1)


class ResponseFile(StrictModel):
    """`responses/<agent>/<situationType>.yaml`."""

    schemaVersion: Literal[1]
    responses: list[ResponsePart]


class AgentFile(AgentConfig):
    """`agents/<slug>.yaml`."""

    schemaVersion: Literal[1]
