"""The JSON that this app keeps in columns, as pydantic models."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

SLUG = r"^[a-z][A-Za-z0-9]{0,39}$"
Slug = Annotated[str, Field(pattern=SLUG)]
Scalar = bool | int | float | str
LARGEST_CHANGE = 1e12


class StrictModel(BaseModel):
    """A model that refuses what it doesn't know and is never changed in place."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Effect(StrictModel):
    """One relative change of a state variable; exactly one of `add`, `set` and `toggle`.

    Attributes:
        variable: Slug of the state variable.
        add: Amount added to a number, in the variable's own unit.
        set: The choice or flag that a choice or flag variable takes.
        toggle: True turns a flag around.
    """

    variable: Slug
    add: Annotated[float, Field(ge=-LARGEST_CHANGE, le=LARGEST_CHANGE)] | None = None
    set: bool | str | None = None
    toggle: Literal[True] | None = None

    @model_validator(mode="after")
    def checkOneKind(self) -> Effect:
        if sum(value is not None for value in (self.add, self.set, self.toggle)) != 1:
            raise ValueError("an effect has exactly one of add, set and toggle")
        return self


class Bucket(StrictModel):
    """A named range of a number: `fromValue` included, `toValue` not, save in the last bucket."""

    name: Slug
    fromValue: float
    toValue: float


class SignatureComponents(StrictModel):
    """Everything a shared reply depends on; see `signatureCompute`.

    Attributes:
        simulation: Slug of the simulation.
        agent: Slug of the agent that answers.
        situationType: Slug of the situation type.
        state: Variable slug to bucket, choice or flag word, or `any`.
        intent: Slug of the intent, `any`, or `free:` and a hash of the words.
        language: BCP 47 tag.
        previousIntent: The conversation key of a `followUp` situation, else empty.
        privateKey: Session and turn of a reply that is never shared, else empty.
    """

    simulation: str
    agent: str
    situationType: str
    state: dict[str, str]
    intent: str
    language: str
    previousIntent: str = ""
    privateKey: str = ""
