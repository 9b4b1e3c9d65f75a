"""A row as JSON, one way for the socket, the API and exports."""

from __future__ import annotations

from collections.abc import Iterable

from simulations.engine.situation import listOptions
from simulations.engine.world import World
from simulations.engine.worldState import State
from simulations.models import Branch, Reply, Session, Turn
from simulations.protocol import (
    AgentView,
    MoneyView,
    OptionView,
    ReplyView,
    SceneView,
    SessionView,
    TurnView,
    VariableView,
)
from simulations.schemas import AppliedEffect, TurnNote


def presentAgents(world: World) -> list[AgentView]:
    return [
        AgentView(
            slug=slug,
            name=profile.config.name,
            role=profile.config.role,
            glyph=profile.config.glyph or profile.config.name[:1],
            color=profile.config.color,
        )
        for slug, profile in world.agents.items()
    ]


def presentVariables(world: World) -> list[VariableView]:
    """Returns the variables that the player may see."""
    return [
        VariableView(
            slug=variable.slug,
            title=variable.title,
            kind=variable.kind,
            minimum=variable.minimum,
            maximum=variable.maximum,
            unit=variable.unit,
            better=variable.better,
            help=variable.help,
            buckets=[bucket.name for bucket in variable.buckets],
        )
        for variable in world.variables.values()
        if variable.visibility.player
    ]


def presentScene(world: World, branch: Branch) -> SceneView:
    """Returns where a timeline stands, as far as the player may see it."""
    situation = world.getSituation(branch.situation)
    state = world.completeState(branch.state)
    isRunning = branch.session.status == Session.Status.RUNNING
    options = listOptions(world, situation, state, branch.headTurn + 1) if isRunning else []
    seen = seenState(world, state)
    return SceneView(
        turn=branch.headTurn,
        situation=situation.slug,
        title=situation.title,
        description=situation.description.strip(),
        agents=[slug for slug in situation.agents if slug in world.agents],
        options=[OptionView(intent=option.intent, label=option.label) for option in options],
        state=seen,
        buckets={slug: world.bucketWord(slug, value) for slug, value in seen.items()},
    )


def seenState(world: World, state: State) -> dict[str, bool | float | str]:
    """Returns the part of a state that the player may see."""
    return {slug: state[slug] for slug, v in world.variables.items() if v.visibility.player}


def presentReply(reply: Reply, agent: str) -> ReplyView:
    return ReplyView(
        id=reply.pk,
        agent=agent,
        position=reply.position,
        status=reply.status,
        source=reply.source,
        rung=reply.why["rung"],
        text=reply.text,
        model=reply.model,
        clientKind=reply.clientKind,
        costNano=reply.costNano,
        savedNano=reply.savedNano,
        tokens=reply.tokens,
        totalMs=round(reply.totalMs, 1),
    )


def presentTurn(world: World, turn: Turn, replies: Iterable[Reply]) -> TurnView:
    """Returns a turn as the player may see it.

    Args:
        world: The world, for titles and for what the player may see.
        turn: Finished or interrupted.
        replies: The turn's replies in their order, withdrawn ones among them.
    """
    slugs = {profile.id: slug for slug, profile in world.agents.items()}
    views = [presentReply(reply, slugs.get(reply.agent_id, "")) for reply in replies]
    intent = world.intents.get(turn.intent)
    return TurnView(
        id=turn.pk,
        branch=turn.branch_id,
        number=turn.number,
        sequence=turn.sequence,
        trigger=turn.trigger,
        status=turn.status,
        clientKey=turn.clientKey,
        inputText=turn.inputText,
        intent=turn.intent if intent else "",
        intentTitle=intent.title if intent else "",
        intentPath=turn.intentPath,
        situation=turn.situation,
        nextSituation=turn.nextSituation,
        replies=views,
        notes=[TurnNote.model_validate(note) for note in turn.notes],
        changes=[
            AppliedEffect.model_validate(change)
            for change in turn.effects
            if change["variable"] in world.variables and world.variables[change["variable"]].visibility.player
        ],
        outcome=turn.outcome,
        costNano=sum(view.costNano for view in views),
        savedNano=sum(view.savedNano for view in views),
        totalMs=round(turn.totalMs, 1),
        startedAt=turn.startedAt.isoformat(),
    )


def presentMoney(world: World, session: Session) -> MoneyView:
    return MoneyView(
        spentNano=session.spentNano, savedNano=session.savedNano, limitNano=world.sessionBudgetNano
    )


def presentSession(world: World, session: Session) -> SessionView:
    return SessionView(
        id=str(session.pk),
        simulation=world.slug,
        title=world.title,
        playerRole=world.playerRole,
        opening=world.opening,
        turnLimit=world.turnLimit,
        mode=session.mode,
        status=session.status,
        outcome=session.outcome,
        language=session.language,
        createdAt=session.createdAt.isoformat(),
    )
