"""What an agent could answer from the database: its key, the stored replies, and the choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.db import models
from django.db.models import Count, Q

from costs.expressions import evaluate
from costs.preparedSql import PreparedQuery, Slot
from costs.responseCache import StoredVariant, findVariants, judgeStanding
from costs.schemas import SignatureComponents
from costs.signatureCompute import INTENT, computeDigest, computeDraw, maskComponents
from costs.variantChoice import Choice, chooseVariant
from simulations.engine.intents import FREE
from simulations.engine.rules import Moment
from simulations.engine.situation import Recognised
from simulations.engine.world import AgentProfile, World
from simulations.engine.worldState import State
from simulations.models import Branch, Reply

# Only the latest turns count for "least heard", so that a turn's cost doesn't grow with the story.
HEARD_WINDOW = 200


@dataclass(frozen=True, slots=True)
class AgentTask:
    """One agent that has to answer.

    Attributes:
        components: The full key.
        isPrivate: Asked for with more than the key; never stored for others.
    """

    profile: AgentProfile
    position: int
    components: SignatureComponents
    digest: str
    isPrivate: bool


@dataclass(frozen=True, slots=True)
class Stored:
    """What the database has for a task.

    Attributes:
        choice: Among what may be served, by the order of `variantChoice`.
        doubtful: Approved ones of an older epoch or another prompt.
        known: How many approved and pending ones there are in all.
        fitting: How many of them fit this moment; one whose condition fails does not.
    """

    choice: Choice
    doubtful: tuple[StoredVariant, ...]
    known: int
    fitting: int


def buildTask(
    world: World, branch: Branch, state: State, heard: Recognised, agent: str, position: int
) -> AgentTask:
    """Computes an agent's key for this moment."""
    situation, intent = heard.situation, world.intents.get(heard.match.intent)
    isFree = heard.match.intent.startswith(FREE)
    sharing = "private" if isFree else (intent.sharing if intent else "") or situation.sharing
    isPrivate = sharing == "private"
    components = SignatureComponents(
        simulation=world.slug,
        agent=agent,
        situationType=situation.slug,
        state={
            slug: world.bucketWord(slug, state[slug])
            for slug in situation.variables
            if slug in world.variables
        },
        intent=heard.match.intent,
        language=branch.session.language,
        previousIntent=findPrevious(branch, agent) if sharing == "followUp" else "",
        privateKey=f"{branch.session_id}:{branch.pk}:{branch.headTurn + 1}" if isPrivate else "",
    )
    return AgentTask(world.getAgent(agent), position, components, computeDigest(components), isPrivate)


def findPrevious(branch: Branch, agent: str) -> str:
    """Returns the last intent with an agent; free words all count as one, as they do in the prompt."""
    previous = branch.lastIntents.get(agent, "")
    return FREE if previous.startswith(FREE) else previous


def findStored(world: World, branch: Branch, state: State, tasks: Sequence[AgentTask]) -> list[Stored]:
    """Looks up all tasks of a turn: one query for variants, one for what was heard."""
    digests = [_listDigests(world, task) for task in tasks]
    found = findVariants({digest for keys in digests for digest in keys}, branch.session.mode)
    variants = [[v for key in keys for v in found.get(key, ())] for keys in digests]
    heard = countHeard(branch, [v.id for own in variants for v in own])
    return [
        _judge(world, branch, state, task, keys, own, heard)
        for task, keys, own in zip(tasks, digests, variants, strict=True)
    ]


def _listDigests(world: World, task: AgentTask) -> dict[str, str]:
    """Returns the signatures that a task matches, each with its fingerprint.

    A private reply matches only what was authored for any intent: its key is nobody else's.
    """
    keys = {} if task.isPrivate else {task.digest: world.fingerprint(task.components)}
    isFree = task.components.intent.startswith(FREE)
    for mask in world.masks.get((task.profile.id, task.components.situationType), ()):
        if isFree and INTENT not in mask:
            continue
        masked = maskComponents(task.components.model_copy(update={"privateKey": ""}), mask)
        keys[computeDigest(masked)] = world.fingerprint(masked)
    return keys


def _judge(
    world: World,
    branch: Branch,
    state: State,
    task: AgentTask,
    keys: Mapping[str, str],
    variants: Sequence[StoredVariant],
    heard: Mapping[int, int],
) -> Stored:
    standings = {
        v.id: judgeStanding(
            v,
            agentEpoch=task.profile.epoch,
            simulationEpoch=world.epoch,
            fingerprint=keys[v.digest],
            servePending=world.servePending,
        )
        for v in variants
    }
    doubtful = tuple(v for v in variants if standings[v.id] == "doubtful" and v.status == "approved")
    servable = [v for v in variants if standings[v.id] == "servable"]
    if world.serveDoubtful:
        servable += doubtful
    turn = branch.headTurn + 1
    moment = Moment(turn, task.components.situationType, task.components.intent)
    draw = computeDraw(branch.session.seed, turn, task.profile.config.slug, "variant")

    def choose(among: Sequence[StoredVariant]) -> Choice:
        return chooseVariant(among, heard, lambda condition: evaluate(condition, moment.context(state)), draw)

    # What answers any intent is for when nothing answers this one.
    choice = choose([v for v in servable if INTENT not in v.mask])
    if choice.variant is None:
        choice = choose(servable)
    known = sum(standings[v.id] in ("servable", "waiting") for v in variants)
    unfit = sum(considered.ruledOut == "condition" for considered in choice.considered)
    return Stored(choice, doubtful, known, known - unfit)


def countHeard(branch: Branch, variantIds: Sequence[int]) -> dict[int, int]:
    """Returns how often each variant was heard in the latest turns of a timeline."""
    if not variantIds:
        return {}
    query = _prepareHeard(len(variantIds), len(branch.lineage))
    variants = {f"variant{i}": variantId for i, variantId in enumerate(variantIds)}
    ancestors = {f"ancestor{i}": ancestor for i, (ancestor, _) in enumerate(branch.lineage)}
    forks = {f"until{i}": until for i, (_, until) in enumerate(branch.lineage)}
    since = branch.headTurn - HEARD_WINDOW
    return dict(query.fetch(branch=branch.pk, since=since, **variants, **ancestors, **forks))


@lru_cache(maxsize=256)
def _prepareHeard(variants: int, ancestors: int) -> PreparedQuery:
    key, turn = models.BigIntegerField(), models.PositiveIntegerField()

    def build() -> models.QuerySet:
        timeline = Q(branch_id=Slot("branch", key))
        for i in range(ancestors):
            timeline |= Q(branch_id=Slot(f"ancestor{i}", key), turnNumber__lte=Slot(f"until{i}", turn))
        wanted: list[Any] = [Slot(f"variant{i}", key) for i in range(variants)]
        heard = Reply.objects.filter(timeline, variant__id__in=wanted, turnNumber__gt=Slot("since", turn))
        return heard.order_by().values_list("variant_id").annotate(Count("id"))

    return PreparedQuery(build)
