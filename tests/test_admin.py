"""The plain admin: what an edit does to the play, and what it refuses."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from agents.models import Agent
from costs.models import Budget, ResponseVariant
from simulations.engine.world import findWorld
from simulations.models import Intent, Rule, Simulation, SituationType, StateVariable

PAGES = [
    "agents_agent", "costs_budget", "costs_budgetreservation", "costs_costrecord", "costs_pricerule",
    "costs_responsesignature", "costs_responsevariant", "simulations_intent", "simulations_rule",
    "simulations_session", "simulations_simulation", "simulations_situationtype",
    "simulations_statevariable", "simulations_turn", "simulations_worldevent",
]  # fmt: skip


@pytest.fixture
def admin(inn, author) -> Client:
    client = Client()
    client.force_login(author)
    return client


def submit(client: Client, row, **changes):
    """Sends a row's change form as the browser would, with some fields changed."""
    url = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
    form = client.get(url).context["adminform"].form
    data = {name: form[name].value() for name in form.fields}
    data = {name: "" if value is None else value for name, value in data.items()} | changes
    return client.post(url, {name: value for name, value in data.items() if value is not False})


@pytest.mark.parametrize("page", PAGES)
def test_everyListOpens(admin, page):
    assert admin.get(reverse(f"admin:{page}_changelist")).status_code == 200


def test_anEditedPersonaIsNeverAnsweredWithTheOldReplies(admin, inn):
    greta = Agent.objects.get(slug="greta")
    before = Simulation.objects.get().revision
    response = submit(admin, greta, persona="Greta has become a poet.")
    assert response.status_code == 302
    assert Simulation.objects.get().revision == before + 1
    world = findWorld("villageInn")
    variant = ResponseVariant.objects.filter(signature__agent=greta).first()
    from costs.schemas import SignatureComponents

    components = SignatureComponents.model_validate(variant.signature.components)
    assert world.fingerprint(components) != variant.fingerprint


@pytest.mark.parametrize(
    ("model", "slug", "changes"),
    [
        (Intent, "pourRound", {"patterns": '["(["]'}),
        (Intent, "pourRound", {"effects": '[{"variable": "coins"}]'}),
        (Rule, "purseEmpty", {"condition": "nonsense((("}),
        (Agent, "greta", {"color": "red"}),
        (StateVariable, "coins", {"buckets": "[]"}),
        (SituationType, "taproom", {"options": '[{"label": "x"}]'}),
    ],
)
def test_whatCouldNotBePlayedIsRefused(admin, model, slug, changes):
    before = Simulation.objects.get().revision
    response = submit(admin, model.objects.get(slug=slug), **changes)
    assert response.status_code == 200
    assert response.context["errors"]
    assert Simulation.objects.get().revision == before


def test_theOpeningSituationCantBeDeleted(admin):
    opening = SituationType.objects.get(slug=Simulation.objects.get().openingSituation)
    url = reverse("admin:simulations_situationtype_delete", args=[opening.pk])
    response = admin.post(url, {"post": "yes"}, follow=True)
    assert b"no opening situation" in response.content
    assert SituationType.objects.filter(pk=opening.pk).exists()


def test_recordsAndBudgetsCantBeRemoved(admin):
    budget = Budget.objects.create(scope="everything", limitNano=1)
    assert (
        admin.post(reverse("admin:costs_budget_delete", args=[budget.pk]), {"post": "yes"}).status_code == 403
    )
    assert admin.get(reverse("admin:costs_costrecord_add")).status_code == 403


def test_somebodyWithoutStaffRightsIsSentAway(inn, player):
    client = Client()
    client.force_login(player)
    assert client.get(reverse("admin:agents_agent_changelist")).status_code == 302
