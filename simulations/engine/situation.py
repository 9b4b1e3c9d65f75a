"""Where the story stands, what may be done there, and what an input means in it."""

from __future__ import annotations

from dataclasses import dataclass

from agents.routing import NAMED
from costs.expressions import evaluate
from pm6.exceptions import InputTooLongError, InvalidInputError, UnknownOptionError
from simulations.engine.intents import IntentMatch
from simulations.engine.rules import Moment, checkAllowed
from simulations.engine.world import Situation, World
from simulations.engine.worldState import State
from simulations.protocol import MAX_INPUT
from simulations.schemas import OptionPart


@dataclass(frozen=True, slots=True)
class PlayerInput:
    """What the player does: says something, or picks an option by its intent."""

    text: str = ""
    option: str = ""


@dataclass(frozen=True, slots=True)
class Recognised:
    """What an input means here.

    Attributes:
        text: What the player is heard to say: the words, or the option's label.
        nextSituation: Where it leads; empty stays.
    """

    match: IntentMatch
    text: str
    situation: Situation
    nextSituation: str


def checkInput(given: PlayerInput) -> PlayerInput:
    """Returns the input without blanks around it.

    Raises:
        InvalidInputError: Nothing, or both text and option, or control characters.
        InputTooLongError: More than 2,000 characters.
    """
    text = given.text.strip()
    if len(text) > MAX_INPUT:
        raise InputTooLongError(
            f"That is {len(text)} characters; {MAX_INPUT} are allowed.", details={"limit": MAX_INPUT}
        )
    if any(ord(letter) < 32 and letter not in "\n\t" for letter in text):
        raise InvalidInputError("The text holds control characters.")
    if any(0xD800 <= ord(letter) <= 0xDFFF for letter in text):
        raise InvalidInputError("The text is not valid Unicode.", hint="Send it as UTF-8.")
    if bool(text) == bool(given.option):
        raise InvalidInputError("Say something or choose an option, one of the two.")
    return PlayerInput(text, given.option)


def listOptions(world: World, situation: Situation, state: State, turn: int) -> list[OptionPart]:
    """Returns the options that the situation offers in this state, forbidden ones left out."""
    return [option for option in situation.options if _isOffered(world, situation, option, state, turn)]


def findOption(world: World, situation: Situation, state: State, turn: int, intent: str) -> OptionPart | None:
    """Returns the option of an intent where it is offered, without a look at the others."""
    wanted = (option for option in situation.options if option.intent == intent)
    return next((o for o in wanted if _isOffered(world, situation, o, state, turn)), None)


def _isOffered(world: World, situation: Situation, option: OptionPart, state: State, turn: int) -> bool:
    if option.intent not in world.intents:
        return False
    context = Moment(turn, situation.slug, option.intent).context(state)
    if option.condition and not evaluate(option.condition, context):
        return False
    return not any(rule.kind == "forbid" and evaluate(rule.condition, context) for rule in world.rules)


def recogniseInput(
    world: World, situation: Situation, state: State, turn: int, given: PlayerInput
) -> Recognised:
    """Finds what an input means: option, exact words, pattern, or free.

    Raises:
        UnknownOptionError: The option isn't offered now.
        ForbiddenActionError: A rule forbids what was asked for.
    """
    if given.option:
        option = findOption(world, situation, state, turn, given.option)
        if option is None:
            offered = [o.intent for o in listOptions(world, situation, state, turn)]
            raise UnknownOptionError(
                f"The option {given.option} isn't offered now.", details={"offered": offered}
            )
        match, text = IntentMatch(option.intent, "option"), option.label
    else:
        match, text = world.lookup.match(NAMED.sub(" ", given.text)), given.text
        checkAllowed(world, state, Moment(turn, situation.slug, match.intent))
        option = next((o for o in situation.options if o.intent == match.intent), None)
    intent = world.intents.get(match.intent)
    target = (option.nextSituation if option else "") or (intent.nextSituation if intent else "")
    return Recognised(match, text, situation, target if target in world.situations else "")
