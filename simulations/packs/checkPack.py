"""What only shows when the files of a pack are held against each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from costs.expressions import checkExpression
from costs.schemas import Effect
from pm6.exceptions import InvalidInputError
from simulations.engine.intents import compilePattern, normalizeText
from simulations.engine.slots import SLOT
from simulations.packs.packFormat import ResponsePart, VariablePart
from simulations.packs.readPack import Pack, Place

SIMULATION = "simulation.yaml"
MAX_MASKS = 4


def checkPack(pack: Pack) -> list[str]:
    """Returns every problem of a pack, each as "file:line: sentence"."""
    _checkTop(pack)
    _checkVariables(pack)
    _checkIntents(pack)
    _checkSituations(pack)
    _checkRules(pack)
    _checkEvents(pack)
    _checkAgents(pack)
    _checkResponses(pack)
    return pack.problems


def _known(
    pack: Pack, file: str, place: Place, names: Iterable[str], known: Iterable[str], what: str
) -> None:
    known = set(known)
    for name in names:
        if name and name not in known:
            pack.report(file, place, f"there is no {what} {name}")


def _checkTop(pack: Pack) -> None:
    top = pack.simulation
    _known(
        pack, SIMULATION, ["openingSituation"], [top.openingSituation], top.situationTypes, "situation type"
    )
    _known(pack, SIMULATION, ["fallbackAgent"], [top.fallbackAgent], pack.agents, "agent")


def _checkVariables(pack: Pack) -> None:
    for slug, variable in pack.simulation.variables.items():
        place = ["variables", slug]
        for problem in variable.listProblems():
            pack.report(SIMULATION, place, f"{slug}: {problem}")
        agents = variable.visibility.agents
        _known(
            pack, SIMULATION, [*place, "visibility"], [] if agents == "all" else agents, pack.agents, "agent"
        )


def _checkEffects(pack: Pack, file: str, place: Place, effects: Sequence[Effect]) -> None:
    variables = pack.simulation.variables
    for index, effect in enumerate(effects):
        variable = variables.get(effect.variable)
        here = [*place, "effects", index]
        if variable is None:
            pack.report(file, here, f"there is no variable {effect.variable}")
        elif (problem := _findEffectProblem(effect, variable)) is not None:
            pack.report(file, here, f"{effect.variable}: {problem}")


def _findEffectProblem(effect: Effect, variable: VariablePart) -> str | None:
    if variable.kind == "number":
        return None if effect.add is not None else "a number changes by add"
    if variable.kind == "flag":
        return None if effect.toggle or isinstance(effect.set, bool) else "a flag changes by toggle or set"
    return None if effect.set in variable.choices else "a choice is set to one of its choices"


def _checkCondition(pack: Pack, file: str, place: Place, expression: str) -> None:
    state = {slug: _typical(variable) for slug, variable in pack.simulation.variables.items()}
    if expression and (problem := checkExpression(expression, state)):
        pack.report(file, place, f"the condition {problem}")


def _typical(variable: VariablePart) -> bool | float | str:
    return float(variable.initial) if variable.kind == "number" else variable.initial


def _checkIntents(pack: Pack) -> None:
    claimed: dict[str, str] = {}
    for slug, intent in pack.simulation.intents.items():
        place = ["intents", slug]
        _known(pack, SIMULATION, [*place, "agents"], intent.agents, pack.agents, "agent")
        _known(
            pack, SIMULATION, place, [intent.nextSituation], pack.simulation.situationTypes, "situation type"
        )
        _checkEffects(pack, SIMULATION, place, intent.effects)
        for index, phrase in enumerate(intent.phrases):
            other = claimed.setdefault(normalizeText(phrase), slug)
            if other != slug:
                pack.report(
                    SIMULATION,
                    [*place, "phrases", index],
                    f"the phrase {phrase!r} belongs to {other} already",
                )
        for index, pattern in enumerate(intent.patterns):
            try:
                compilePattern(pattern)
            except InvalidInputError as error:
                pack.report(SIMULATION, [*place, "patterns", index], error.message)


def _checkSituations(pack: Pack) -> None:
    top = pack.simulation
    for slug, situation in top.situationTypes.items():
        place = ["situationTypes", slug]
        _known(pack, SIMULATION, [*place, "agents"], situation.agents, pack.agents, "agent")
        _known(pack, SIMULATION, [*place, "variables"], situation.variables, top.variables, "variable")
        seen: set[str] = set()
        for index, option in enumerate(situation.options):
            here: list[str | int] = [*place, "options", index]
            _known(pack, SIMULATION, here, [option.intent], top.intents, "intent")
            _known(pack, SIMULATION, here, [option.nextSituation], top.situationTypes, "situation type")
            _checkCondition(pack, SIMULATION, here, option.condition)
            if option.intent in seen:
                pack.report(SIMULATION, here, f"the intent {option.intent} is offered twice")
            seen.add(option.intent)


def _checkRules(pack: Pack) -> None:
    top = pack.simulation
    for slug, rule in top.rules.items():
        place = ["rules", slug]
        _checkCondition(pack, SIMULATION, [*place, "condition"], rule.condition)
        _checkEffects(pack, SIMULATION, place, rule.effects)
        _known(pack, SIMULATION, [*place, "event"], [rule.event], top.events, "event")
        _known(
            pack, SIMULATION, [*place, "situation"], [rule.situation], top.situationTypes, "situation type"
        )
        if rule.kind == "event" and not rule.event:
            pack.report(SIMULATION, place, "a rule of kind event names the event")
        if rule.kind == "move" and not rule.situation:
            pack.report(SIMULATION, place, "a rule of kind move names the situation")


def _checkEvents(pack: Pack) -> None:
    top = pack.simulation
    for slug, event in top.events.items():
        place = ["events", slug]
        _checkEffects(pack, SIMULATION, place, event.effects)
        _known(pack, SIMULATION, [*place, "then"], [event.then], top.events, "event")
        _known(
            pack, SIMULATION, [*place, "situation"], [event.situation], top.situationTypes, "situation type"
        )
        if _isCycle(pack, slug):
            pack.report(SIMULATION, [*place, "then"], f"the events that follow {slug} lead back to it")


def _isCycle(pack: Pack, slug: str) -> bool:
    events = pack.simulation.events
    seen: set[str] = set()
    following = events[slug].then
    while following in events and following not in seen:
        if following == slug:
            return True
        seen.add(following)
        following = events[following].then
    return False


def _checkAgents(pack: Pack) -> None:
    for slug, agent in pack.agents.items():
        file = f"agents/{slug}.yaml"
        if agent.slug != slug:
            pack.report(file, ["slug"], f"the file is called {slug} and its slug is {agent.slug}")
        _known(pack, file, ["relations"], agent.relations, pack.agents, "agent")


def _checkResponses(pack: Pack) -> None:
    for (agent, situationType), responseFile in pack.responses.items():
        file = f"responses/{agent}/{situationType}.yaml"
        situation = pack.simulation.situationTypes.get(situationType)
        _known(pack, file, [], [agent], pack.agents, "agent")
        _known(pack, file, [], [situationType], pack.simulation.situationTypes, "situation type")
        if situation is None or agent not in pack.agents:
            continue
        masks = {buildMask(situation.variables, response) for response in responseFile.responses}
        if len(masks) > MAX_MASKS:
            pack.report(
                file, [], f"{len(masks)} different sets of named variables; at most {MAX_MASKS} are looked up"
            )
        for index, response in enumerate(responseFile.responses):
            _checkResponse(pack, file, ["responses", index], situation.variables, response)


def _checkResponse(
    pack: Pack, file: str, place: list[str | int], variables: Sequence[str], response: ResponsePart
) -> None:
    if response.intent != "any":
        _known(pack, file, [*place, "intent"], [response.intent], pack.simulation.intents, "intent")
    for name, word in response.when.items():
        if name not in variables:
            pack.report(file, [*place, "when", name], f"{name} is not among the situation's variables")
        elif word not in (words := listWords(pack.simulation.variables[name])):
            pack.report(file, [*place, "when", name], f"{word} is none of {', '.join(words)}")
    for index, variant in enumerate(response.variants):
        here = [*place, "variants", index]
        _checkEffects(pack, file, here, variant.effects)
        _checkCondition(pack, file, here, variant.condition)
        known = {*pack.simulation.variables, "playerRole"}
        _known(pack, file, here, SLOT.findall(variant.text), known, "slot")


def listWords(variable: VariablePart) -> list[str]:
    """Returns the words that stand for a variable's values in keys."""
    if variable.kind == "flag":
        return ["true", "false"]
    return (
        list(variable.choices) if variable.kind == "choice" else [bucket.name for bucket in variable.buckets]
    )


def buildMask(variables: Iterable[str], response: ResponsePart) -> frozenset[str]:
    """Returns what an authored response leaves open; the previous intent always is."""
    mask = {name for name in variables if name not in response.when} | {"previousIntent"}
    return frozenset(mask | ({"intent"} if response.intent == "any" else set()))
