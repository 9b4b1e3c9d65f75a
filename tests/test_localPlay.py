"""The embedded model answers a miss of a real turn."""

from __future__ import annotations

import os

import pytest

from agents.llm.clients import closeClients
from agents.llm.localModel import findLocalModel
from costs.models import CostRecord, ResponseVariant
from simulations.models import Reply

pytestmark = [
    pytest.mark.local,
    pytest.mark.skipif(
        findLocalModel() is None and "CI" not in os.environ, reason="the embedded model isn't installed"
    ),
]


async def test_theEmbeddedModelAnswersAMiss(startGame, settings):
    settings.PM6_LLM = "local"
    settings.PM6_TURN_LEASE_SECONDS = 60
    await ResponseVariant.objects.aupdate(status="retired")
    try:
        # A small model's line may fail the checks; then the author's is served, and it is asked again.
        for seed in range(5):
            game = await startGame(seed=seed)
            assert game.session.mode == "live"
            reply = (await game.choose("pourRound")).message.turn.replies[-1]
            if reply.source == "model":
                break
    finally:
        await closeClients()
    assert (reply.source, reply.clientKind, reply.costNano) == ("model", "local", 0)
    assert reply.text[-1] in ".!?\"'”’"
    variant = await ResponseVariant.objects.aget(clientKind="local")
    assert variant.status == "draft"
    record = await CostRecord.objects.filter(clientKind="local", status="done").alatest("id")
    assert record.priceNano == 0
    assert record.outputTokens > 0
    assert (await Reply.objects.alatest("id")).why["rung"] == "model"
