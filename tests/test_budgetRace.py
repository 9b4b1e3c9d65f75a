"""Many processes against one limit: never over it by a nano-dollar, never refused too early.

Run as a program it is one of those processes.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROCESSES = int(os.environ.get("PM6_RACE_PROCESSES", "4"))
ROUNDS = int(os.environ.get("PM6_RACE_ROUNDS", "40"))


def work(plan: dict) -> dict:
    """Reserves again and again; returns what was got, spent and refused."""
    from django.db import transaction

    from costs.budgets import MoneyScope, releaseReservation, reserveMoney, settleReservation
    from pm6.exceptions import CostLimitError

    draw = random.Random(plan["seed"])
    session = uuid.UUID(plan["sessionId"])
    scope = MoneyScope(plan["simulationId"], session, isGuest=draw.random() < 0.5)
    done = {"granted": 0, "spentNano": 0, "refused": [], "guest": scope.isGuest}
    for _ in range(plan["rounds"]):
        amount = plan["amount"] or draw.randint(1, 30)
        try:
            with transaction.atomic():
                token = reserveMoney(scope, amount, 600)
        except CostLimitError as error:
            done["refused"].append([error.details["leftNano"], error.details["neededNano"]])
            continue
        done["granted"] += 1
        if plan["keep"]:
            settleReservation(token, amount)
            done["spentNano"] += amount
        elif draw.random() < 0.3:
            releaseReservation(token)
        else:
            spent = draw.randint(0, amount)
            settleReservation(token, spent)
            done["spentNano"] += spent
    return done


def runRace(plans: list[dict], signal: Path) -> list[dict]:
    """Starts a process per plan, lets them loose together and returns what each did."""
    # Here and not above: the processes of the race are this file too, and need no Django for it.
    from tests.serverProcess import buildUrl

    env = {**os.environ, "DATABASE_URL": buildUrl(), "PM6_BLOCK_REAL_CALLS": "1"}
    workers = [
        subprocess.Popen(
            [sys.executable, __file__, json.dumps(plan), str(signal)],
            env=env,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for plan in plans
    ]
    try:
        awaitReady(workers)
        signal.touch()
        answers = [worker.communicate(timeout=180) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    failures = [error for worker, (_, error) in zip(workers, answers, strict=True) if worker.returncode]
    assert not failures, failures[0]
    return [json.loads(out) for out, _ in answers]


def awaitReady(workers: list[subprocess.Popen]) -> None:
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n", worker.communicate(timeout=30)[1]


@pytest.fixture
def scene(transactional_db):
    from simulations.models import Session, Simulation

    simulation = Simulation.objects.create(
        slug="inn",
        title="Inn",
        playerRole="guest",
        opening="Hello",
        openingSituation="bar",
        fallbackAgent="greta",
    )
    return Session.objects.create(simulation=simulation, seed=1)


def buildPlans(scene, **changes) -> list[dict]:
    plan = {"simulationId": scene.simulation_id, "sessionId": str(scene.pk), "rounds": ROUNDS, "amount": 0}
    return [{**plan, "keep": False, "seed": seed, **changes} for seed in range(PROCESSES)]


def limitTo(scene, **limits: int) -> None:
    from costs.budgets import ensureBudget

    ensureBudget("everything", limits.get("everything", 10**12))
    ensureBudget("guests", limits.get("guests", 10**12))
    ensureBudget("simulation", limits.get("simulation", 10**12), simulation=scene.simulation)
    ensureBudget("session", limits.get("session", 10**12), session=scene)


def checkBudgets() -> None:
    from costs.models import Budget, BudgetReservation

    assert not BudgetReservation.objects.filter(status="open").exists()
    for budget in Budget.objects.all():
        assert budget.reservedNano == 0
        assert budget.settledNano <= budget.limitNano


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("scope", ["everything", "session"])
def test_limitIsUsedToTheLastNanoDollarAndNotPassed(scene, tmp_path, scope):
    """Equal amounts that are all spent: exactly so many are granted as fit."""
    from costs.models import Budget

    fits = PROCESSES * ROUNDS // 2
    limitTo(scene, **{scope: fits * 7 + 6})
    results = runRace(buildPlans(scene, amount=7, keep=True), tmp_path / "go")
    assert sum(one["granted"] for one in results) == fits
    assert all(left == 6 for one in results for left, _ in one["refused"][-1:])
    assert all(left < needed for one in results for left, needed in one["refused"])
    assert Budget.objects.get(scope=scope).settledNano == fits * 7
    checkBudgets()


@pytest.mark.prove
@pytest.mark.django_db(transaction=True)
def test_mixedAmountsAreNeverRefusedWhileThereIsRoom(scene, tmp_path):
    """Reserved, spent in part, released: every refusal was right when it was given."""
    from costs.models import Budget

    limitTo(
        scene,
        everything=PROCESSES * ROUNDS * 4,
        guests=PROCESSES * ROUNDS * 2,
        session=PROCESSES * ROUNDS * 3,
    )
    results = runRace(buildPlans(scene), tmp_path / "go")
    refused = [pair for one in results for pair in one["refused"]]
    assert refused
    assert all(left < needed for left, needed in refused)
    spent = sum(one["spentNano"] for one in results)
    assert Budget.objects.get(scope="everything").settledNano == spent
    assert Budget.objects.get(scope="session").settledNano == spent
    guests = sum(one["spentNano"] for one in results if one["guest"])
    assert Budget.objects.get(scope="guests").settledNano == guests
    checkBudgets()


def main(plan: str, signal: str) -> None:
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pm6site.settings")
    import django
    from django.db import connection

    django.setup()
    if connection.vendor == "sqlite":
        # SQLite's waiting is not fair: among many that write without a pause, one may starve for
        # longer than the usual 20 seconds. It gets nothing then, but this test is about money.
        connection.settings_dict["OPTIONS"]["timeout"] = 150
    connection.ensure_connection()
    print("ready", flush=True)
    limit = time.monotonic() + 60
    while not Path(signal).exists() and time.monotonic() < limit:
        time.sleep(0.002)
    print(json.dumps(work(json.loads(plan))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
