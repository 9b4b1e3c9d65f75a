"""How a model is asked to answer at once instead of thinking first.

Recent models think before they answer unless told otherwise. Thinking is billed as output and
counts towards `max_tokens`, so a line of dialogue with a small `max_tokens` would often end
before its first word. How it is switched off differs by model, and the wrong way is refused.
"""

from __future__ import annotations

import re
from typing import Any

ALWAYS_THINKS = re.compile(r"claude-(opus-5-5|(fable|mythos)-5(-\d)?)(-\d{8})?")
BETWEEN_TOOLS = re.compile(r"claude-sonnet-5-5(-\d{8})?")
MAY_BE_DISABLED = re.compile(r"claude-(haiku-5-5|opus-5|sonnet-5)(-\d{8})?")


def alwaysThinks(model: str) -> bool:
    """Tells whether thinking can't be switched off, so that `maxTokens` needs room for it."""
    return bool(ALWAYS_THINKS.fullmatch(model))


def buildThinkingOptions(model: str) -> dict[str, Any]:
    """Returns what a request says about thinking; nothing for models that don't do it unasked."""
    if ALWAYS_THINKS.fullmatch(model):
        return {"output_config": {"effort": "low"}}
    if BETWEEN_TOOLS.fullmatch(model):
        return {"thinking": {"type": "between_tools"}}
    if MAY_BE_DISABLED.fullmatch(model):
        return {"thinking": {"type": "disabled"}}
    return {}
