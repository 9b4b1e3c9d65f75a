"""What a miss would ask: which client and model, with which prompt, under which reservation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings

from agents.llm.client import ClientKind, ModelRequest
from agents.llm.clients import resolveClientKind
from agents.llm.thinking import alwaysThinks
from agents.promptBuilder import (
    KeyWords,
    PrivatePart,
    buildLocalRequest,
    buildPrivatePart,
    buildRequest,
    buildSharedPart,
    describeIntent,
    markSpeech,
)
from costs.budgets import MoneyScope, expireReservations, reserveMoney
from costs.modelRouter import buildModelLadder
from costs.pricing import computeBoundNano
from pm6.exceptions import CostLimitError, UnknownPriceError
from simulations.engine.candidates import AgentTask
from simulations.engine.situation import Recognised
from simulations.engine.world import World
from simulations.engine.worldState import State, formatValue
from simulations.models import Branch, Turn

# How often one reply may be charged: a stream that broke and its repetition.
CHARGED_ATTEMPTS = 2
# Thinking counts as output; a model that can't do without it needs room for both.
THINKING_TOKENS = 1024
MAX_TOKENS = {"small": 120, "standard": 220, "rich": 400}
MOST_AGENTS = {"small": 1, "standard": 3, "rich": 6}


@dataclass(frozen=True, slots=True)
class ModelCall:
    """A call that may be made.

    Attributes:
        reservation: Token of the money set aside; None where nothing can be charged.
        stepsDown: How many models the ladder went down for the budget's sake.
        reservedNano: What was set aside.
    """

    clientKind: ClientKind
    request: ModelRequest
    reservation: UUID | None
    reservedNano: int
    stepsDown: int


def findClientKind(world: World, mode: str, isGuest: bool) -> ClientKind | None:
    """Returns which client answers misses of a session, or None where none may.

    Scripted text is never seen outside test sessions, and by default guests never cost money.
    """
    if mode == "sealed":
        return None
    if mode == "test":
        return "scripted"
    kind = resolveClientKind()
    if kind == "scripted" or (kind == "anthropic" and isGuest and not world.guestsMayUseModels):
        return None
    return kind


def buildCallRequest(
    world: World,
    branch: Branch,
    state: State,
    heard: Recognised,
    task: AgentTask,
    kind: ClientKind,
    model: str,
) -> ModelRequest:
    """Builds the prompt of a miss: from the key alone where the reply may be shared."""
    profile, words = task.profile, world.keyWords(task.profile.config.slug, heard.situation)
    label = f"{profile.config.slug}/{heard.situation.slug}/{heard.match.intent}"
    if kind == "local":
        asked = " ".join(heard.text.split()) if task.isPrivate else describeIntent(heard.match.intent, words)
        return buildLocalRequest(
            profile.config,
            model=model,
            playerRole=world.playerRole,
            situationTitle=heard.situation.title,
            asked=asked,
            label=label,
        )
    variablePart = (
        buildPrivatePart(task.components, words, buildPrivate(world, branch, state, heard, task, words))
        if task.isPrivate
        else buildSharedPart(task.components, words)
    )
    return buildRequest(
        model=model,
        sharedLayer=world.sharedLayer,
        agentLayer=profile.layer,
        variablePart=variablePart,
        maxTokens=MAX_TOKENS[world.complexity] + (THINKING_TOKENS if alwaysThinks(model) else 0),
        label=label,
    )


def buildPrivate(
    world: World, branch: Branch, state: State, heard: Recognised, task: AgentTask, words: KeyWords
) -> PrivatePart:
    """Collects what a private reply is asked for with: exact values, memory, the player's words."""
    agent = task.profile.config
    lines = [
        f"{variable.title}: {formatValue(variable, state[variable.slug])}"
        for variable in world.variables.values()
        if variable.isKnownTo(agent.slug)
    ]
    recent = 0 if agent.memory.policy == "none" else agent.memory.recentTurns
    return PrivatePart(lines, list(listHistory(world, branch, agent.slug, recent)), heard.text)


def listHistory(world: World, branch: Branch, agent: str, recent: int) -> Iterator[str]:
    """Yields what was said in the last turns of a timeline that an agent was present at."""
    if not recent:
        return
    turns = (
        Turn.objects.filter(branch_id=branch.pk, status=Turn.Status.DONE, number__gt=branch.headTurn - recent)
        .prefetch_related("replies__agent")
        .order_by("number")
    )
    for turn in turns:
        if agent not in world.getSituation(turn.situation).agents:
            continue
        yield f"Player: {markSpeech(turn.inputText)}"
        for reply in turn.replies.all():
            if reply.status == "done":
                yield f"{reply.agent.name}: {reply.text}"


def findCall(
    world: World, branch: Branch, state: State, heard: Recognised, task: AgentTask, kind: ClientKind
) -> ModelCall:
    """Reserves money for the best model that the budgets still allow.

    Must run inside a transaction.

    Raises:
        CostLimitError: Not even the cheapest model fits.
        UnknownPriceError: No model of the ladder has a price.
    """
    wanted = task.profile.config.model or world.model or settings.PM6_MODEL
    ladder = buildModelLadder(wanted) if kind == "anthropic" else (wanted if kind == "scripted" else "local",)
    session = branch.session
    scope = MoneyScope(world.id, session.pk, isGuest=session.player_id is None and bool(session.guestKey))
    refusal: CostLimitError | UnknownPriceError | None = None
    for step, model in enumerate(ladder):
        request = buildCallRequest(world, branch, state, heard, task, kind, model)
        try:
            bound = CHARGED_ATTEMPTS * computeBoundNano(model, kind, request.countBytes(), request.maxTokens)
            token = reserve(scope, bound) if bound else None
        except (CostLimitError, UnknownPriceError) as error:
            refusal = error
            continue
        return ModelCall(kind, request, token, bound, step)
    assert refusal is not None
    raise refusal


def reserve(scope: MoneyScope, amountNano: int) -> UUID:
    """Sets money aside; before a refusal, what dead processes left behind is given back.

    Raises:
        CostLimitError: A budget has no room even then.
    """
    try:
        return reserveMoney(scope, amountNano, settings.PM6_TURN_LEASE_SECONDS)
    except CostLimitError:
        if not expireReservations():
            raise
        return reserveMoney(scope, amountNano, settings.PM6_TURN_LEASE_SECONDS)
