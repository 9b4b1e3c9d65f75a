"""A simulation's authored content, compiled once per revision into something immutable."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock

from django.conf import settings

from agents.agentConfig import AgentConfig
from agents.promptBuilder import KeyWords, buildAgentLayer, buildSharedLayer, computeFingerprint
from agents.routing import compileKeywords
from costs.budgets import dollarsToNano
from costs.pricing import priceUsage
from costs.responseCache import listMasks
from costs.schemas import Bucket, Effect, SignatureComponents
from costs.signatureCompute import ANY, Mask
from costs.stateBucketing import computeBucketWord
from costs.usage import Usage
from pm6.exceptions import AgentNotFoundError, SimulationNotFoundError, UnknownPriceError
from simulations.engine.intents import IntentLookup, buildLookup
from simulations.models import Simulation
from simulations.schemas import OptionPart, Visibility

KEPT_WORLDS = 16

# For estimates of what a stored reply saves: English text, a variable part, a reply of two sentences.
BYTES_PER_TOKEN = 4
VARIABLE_TOKENS = 250
REPLY_TOKENS = 70


@dataclass(frozen=True, slots=True)
class Variable:
    slug: str
    title: str
    kind: str
    initial: bool | float | str
    minimum: float
    maximum: float
    unit: str
    better: str
    help: str
    buckets: tuple[Bucket, ...]
    choices: tuple[str, ...]
    visibility: Visibility

    def isKnownTo(self, agent: str) -> bool:
        return self.visibility.agents == "all" or agent in self.visibility.agents


@dataclass(frozen=True, slots=True)
class IntentSpec:
    slug: str
    title: str
    words: str
    agents: tuple[str, ...]
    effects: tuple[Effect, ...]
    sharing: str
    nextSituation: str


@dataclass(frozen=True, slots=True)
class Situation:
    slug: str
    title: str
    description: str
    agents: tuple[str, ...]
    agentsPerTurn: int
    variables: tuple[str, ...]
    sharing: str
    options: tuple[OptionPart, ...]


@dataclass(frozen=True, slots=True)
class RuleSpec:
    slug: str
    title: str
    kind: str
    condition: str
    message: str
    effects: tuple[Effect, ...]
    event: str
    situation: str
    once: bool
    cooldown: int


@dataclass(frozen=True, slots=True)
class EventSpec:
    slug: str
    title: str
    text: str
    effects: tuple[Effect, ...]
    situation: str
    then: str


@dataclass(frozen=True, slots=True)
class AgentProfile:
    id: int
    epoch: int
    config: AgentConfig
    layer: str
    keywords: re.Pattern[str] | None


@dataclass(frozen=True)
class World:
    """Everything a turn needs of a simulation, read-only and shared by all turns of a process."""

    id: int
    slug: str
    title: str
    revision: int
    epoch: int
    language: str
    playerRole: str
    opening: str
    openingSituation: str
    fallbackAgent: str
    complexity: str
    model: str
    servePending: bool
    serveDoubtful: bool
    targetVariants: int
    allowGuests: bool
    guestsMayUseModels: bool
    turnLimit: int
    sessionBudgetNano: int
    sharedLayer: str
    variables: Mapping[str, Variable]
    intents: Mapping[str, IntentSpec]
    situations: Mapping[str, Situation]
    rules: tuple[RuleSpec, ...]
    events: Mapping[str, EventSpec]
    agents: Mapping[str, AgentProfile]
    masks: Mapping[tuple[int, str], tuple[Mask, ...]]
    lookup: IntentLookup
    savedEstimates: Mapping[int, int]
    _fingerprints: dict[tuple[str, ...], str] = field(default_factory=dict, compare=False)

    def getAgent(self, slug: str) -> AgentProfile:
        """Raises AgentNotFoundError where there is none."""
        try:
            return self.agents[slug]
        except KeyError:
            raise AgentNotFoundError(f"There is no agent {slug} in {self.title}.") from None

    def getSituation(self, slug: str) -> Situation:
        """Returns a situation type; the opening one for a name that is gone since an edit."""
        return self.situations.get(slug) or self.situations[self.openingSituation]

    def savedEstimate(self, profile: AgentProfile) -> int:
        """Returns about what a call of this agent costs, in nano-dollars; 0 where no price is known."""
        return self.savedEstimates.get(profile.id, 0)

    def initialState(self) -> dict[str, bool | float | str]:
        return {slug: variable.initial for slug, variable in self.variables.items()}

    def completeState(self, state: Mapping[str, bool | float | str]) -> dict[str, bool | float | str]:
        """Returns a stored state with variables that came or went since it was stored."""
        return {slug: state.get(slug, variable.initial) for slug, variable in self.variables.items()}

    def bucketWord(self, slug: str, value: bool | float | str) -> str:
        return computeBucketWord(value, self.variables[slug].buckets)

    def keyWords(self, agent: str, situation: Situation) -> KeyWords:
        """Returns what the words of a key mean to one agent."""
        return KeyWords(
            situation=f"{situation.title}. {situation.description.strip()}",
            variables={
                slug: self.variables[slug].title
                for slug in situation.variables
                if slug in self.variables and self.variables[slug].isKnownTo(agent)
            },
            intents={slug: intent.words for slug, intent in self.intents.items()},
            language=self.language,
        )

    def fingerprint(self, components: SignatureComponents) -> str:
        """Returns a hash of what the prompt of a key is built from, bucket edges included."""
        state = ",".join(sorted(slug for slug, word in components.state.items() if word != ANY))
        key = (
            components.agent,
            components.situationType,
            components.intent,
            components.previousIntent,
            state,
        )
        found = self._fingerprints.get(key)
        if found is None:
            found = self._fingerprints[key] = self._computeFingerprint(components)
        return found

    def _computeFingerprint(self, components: SignatureComponents) -> str:
        words = self.keyWords(components.agent, self.getSituation(components.situationType))
        variables = [
            f"{slug}:{words.variables.get(slug, '')}:"
            + ",".join(f"{b.name}={b.fromValue!r}-{b.toValue!r}" for b in self.variables[slug].buckets)
            for slug, word in sorted(components.state.items())
            if word != ANY and slug in self.variables
        ]
        return computeFingerprint(
            self.sharedLayer,
            self.agents[components.agent].layer,
            words.situation,
            words.intents.get(components.intent, ""),
            words.intents.get(components.previousIntent, ""),
            *variables,
        )


_worlds: OrderedDict[tuple[int, int], World] = OrderedDict()
_lock = Lock()


def getWorld(simulationId: int, revision: int) -> World:
    """Returns the compiled world of a revision, from this process's memory where it is there."""
    key = (simulationId, revision)
    with _lock:
        if world := _worlds.get(key):
            _worlds.move_to_end(key)
            return world
    world = compileWorld(Simulation.objects.get(pk=simulationId))
    with _lock:
        # A simulation that was edited meanwhile is kept under the revision it really has.
        _worlds[simulationId, world.revision] = world
        while len(_worlds) > KEPT_WORLDS:
            _worlds.popitem(last=False)
    return world


def findWorld(slug: str) -> World:
    """Returns the current world of a simulation.

    Raises:
        SimulationNotFoundError: There is none of that name.
    """
    row = Simulation.objects.filter(slug=slug).values_list("id", "revision").first()
    if row is None:
        raise SimulationNotFoundError(f"There is no simulation {slug}.")
    return getWorld(*row)


def forgetWorlds() -> None:
    """Empties this process's memory of worlds."""
    with _lock:
        _worlds.clear()


def compileWorld(simulation: Simulation) -> World:
    """Reads a simulation's rows into a World: seven queries, whatever its size."""
    agents = _compileAgents(simulation)
    intents = list(simulation.intents.all())
    sharedLayer = buildSharedLayer(
        simulation.title, simulation.playerRole, simulation.lore, simulation.language
    )
    return World(
        id=simulation.pk,
        slug=simulation.slug,
        title=simulation.title,
        revision=simulation.revision,
        epoch=simulation.epoch,
        language=simulation.language,
        playerRole=simulation.playerRole,
        opening=simulation.opening,
        openingSituation=simulation.openingSituation,
        fallbackAgent=simulation.fallbackAgent,
        complexity=simulation.complexity,
        model=simulation.model,
        servePending=simulation.serve == Simulation.Serve.APPROVED_AND_PENDING,
        serveDoubtful=simulation.serveDoubtful,
        targetVariants=simulation.targetVariants,
        allowGuests=simulation.allowGuests,
        guestsMayUseModels=simulation.guestsMayUseModels,
        turnLimit=simulation.turnLimit,
        sessionBudgetNano=findSessionBudget(simulation),
        sharedLayer=sharedLayer,
        variables={row.slug: _compileVariable(row) for row in simulation.statevariables.all()},
        intents={row.slug: _compileIntent(row) for row in intents},
        situations={row.slug: _compileSituation(row) for row in simulation.situationtypes.all()},
        rules=tuple(_compileRule(row) for row in simulation.rules.all()),
        events={row.slug: _compileEvent(row) for row in simulation.worldevents.all()},
        agents=agents,
        masks=listMasks(simulation.pk),
        lookup=buildLookup((row.slug, row.phrases, row.patterns) for row in intents),
        savedEstimates={
            profile.id: estimateCall(sharedLayer, profile, simulation.model) for profile in agents.values()
        },
    )


def findSessionBudget(simulation: Simulation) -> int:
    """Returns what a session may spend, in nano-dollars: the simulation's word, else the default."""
    if simulation.sessionBudgetNano is not None:
        return simulation.sessionBudgetNano
    return dollarsToNano(settings.PM6_BUDGET_SESSION)


def estimateCall(sharedLayer: str, profile: AgentProfile, model: str) -> int:
    """Returns about what one reply costs with its stable layers read from the prompt cache."""
    layers = (len(sharedLayer) + len(profile.layer)) // BYTES_PER_TOKEN
    usage = Usage(inputTokens=VARIABLE_TOKENS, cacheReadTokens=layers, outputTokens=REPLY_TOKENS)
    try:
        return priceUsage(profile.config.model or model or settings.PM6_MODEL, "anthropic", usage)[1]
    except UnknownPriceError:
        return 0


def _compileAgents(simulation: Simulation) -> dict[str, AgentProfile]:
    rows = list(simulation.agents.all())
    names = {row.slug: row.name for row in rows}
    profiles = {}
    for row in rows:
        config = row.readConfig()
        profiles[row.slug] = AgentProfile(
            row.pk, row.epoch, config, buildAgentLayer(config, names), compileKeywords(config.keywords)
        )
    return profiles


def _readEffects(values: list[dict]) -> tuple[Effect, ...]:
    return tuple(Effect.model_validate(value) for value in values)


def _compileVariable(row) -> Variable:
    initial = float(row.initial) if row.kind == "number" else row.initial
    return Variable(
        row.slug, row.title, row.kind, initial, row.minimum, row.maximum, row.unit, row.better, row.help,
        tuple(Bucket.model_validate(bucket) for bucket in row.buckets), tuple(row.choices),
        Visibility.model_validate(row.visibility),
    )  # fmt: skip


def _compileIntent(row) -> IntentSpec:
    return IntentSpec(
        row.slug, row.title, row.words, tuple(row.agents), _readEffects(row.effects), row.sharing,
        row.nextSituation,
    )  # fmt: skip


def _compileSituation(row) -> Situation:
    return Situation(
        row.slug, row.title, row.description, tuple(row.agents), row.agentsPerTurn, tuple(row.variables),
        row.sharing, tuple(OptionPart.model_validate(option) for option in row.options),
    )  # fmt: skip


def _compileRule(row) -> RuleSpec:
    return RuleSpec(
        row.slug, row.title, row.kind, row.condition, row.message, _readEffects(row.effects), row.event,
        row.situation, row.once, row.cooldown,
    )  # fmt: skip


def _compileEvent(row) -> EventSpec:
    return EventSpec(row.slug, row.title, row.text, _readEffects(row.effects), row.situation, row.then)
