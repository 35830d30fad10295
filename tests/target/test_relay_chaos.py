"""Writers, relays, failures, cut connections and a person at work, all at once, by a seed; then silence, and a look."""

from __future__ import annotations

import random
import threading
import time

import pytest

from target_eventgen.delivery import decisions, redelivery, worker
from target_eventgen.delivery.redelivery import LetterFilter
from target_eventgen.publishers.cloudevent import CloudEvent
from target_eventgen.publishers.protocol import Delivered, Failed, Outcome
from tests.support.relaying import EMPTY, Outbox, Receiver, in_order, unreachable
from tests.support.waiting import wait_until

KEYS = 12
SECONDS = 4.0
LOCKED = "select pg_advisory_xact_lock(%s)"
INSERT = """
insert into eventgen.events (id, source, type, subject, partitionkey, stream, key, data)
select %(key)s || '-' || %(mark)s || '-' || n, 'test', 'changed', 'orders/' || %(key)s, %(key)s, 'orders', '{}', '{}'
from generate_series(1, %(each)s) n
"""
MANY = "select count(*) > 100 from eventgen.events"
CUT = """
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and application_name like 'target-eventgen relay to %' order by random() limit 1
"""


class World:
    """What goes on until `ends`, each actor in a thread with luck of its own."""

    def __init__(self, outbox: Outbox, seed: int) -> None:
        self.outbox = outbox
        self.seed = seed
        self.ends = threading.Event()
        self.luck = random.Random(seed)
        self.calm = False

    def write(self, number: int) -> None:
        """A writer holds its keys' locks, as rows would be held, for some time before it commits or rolls back."""
        luck = random.Random(self.seed * 100 + number)
        count = 0
        while not self.ends.is_set():
            count += 1
            with self.outbox.transaction() as connection, connection.cursor() as cursor:
                for key in sorted(luck.sample(range(KEYS), luck.randint(1, 3))):
                    cursor.execute(LOCKED, [key])
                    values = {"key": str(key), "mark": f"{number}-{count}", "each": luck.randint(1, 4)}
                    cursor.execute(INSERT, values)
                    time.sleep(luck.choice([0, 0, 0.01, 0.05]))
                if luck.random() < 0.1:
                    connection.rollback()

    def cut(self) -> None:
        while not self.ends.is_set():
            time.sleep(0.15)
            self.outbox.query(CUT)

    def decide(self) -> None:
        """A person has all dead letters tried again."""
        while not self.ends.is_set():
            time.sleep(0.3)
            redelivery.retry(self.outbox.url, LetterFilter())

    def answer(self, _: CloudEvent) -> Outcome:
        chance = 1.0 if self.calm else self.luck.random()
        if chance < 0.02:
            return Failed("for good", permanent=True)
        return Failed("for now") if chance < 0.1 else Delivered()

    def before(self, _: object) -> None:
        chance = 1.0 if self.calm else self.luck.random()
        time.sleep(0.2 if chance < 0.05 else 0)
        if 0.05 < chance < 0.08:
            unreachable(())


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("seed", [1, 2])
def test_e5_whatever_happens_nothing_is_lost_and_each_key_is_in_order(
    database: str, monkeypatch: pytest.MonkeyPatch, seed: int, *, ordered: bool
) -> None:
    monkeypatch.setattr(decisions, "FIRST_PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(worker, "TURN_EVENTS", 10)
    outbox = Outbox(database)
    world = World(outbox, seed)
    receiver = Receiver(ordered=ordered, most=4, answer=world.answer, before=world.before)
    outbox.announce(receiver.delivery())
    actors = [threading.Thread(target=world.write, args=[number]) for number in range(3)]
    actors += [threading.Thread(target=world.cut), threading.Thread(target=world.decide)]
    wanted = receiver.delivery(max_attempts=4)
    with outbox.following(wanted), outbox.following(wanted):
        for actor in actors:
            actor.start()
        time.sleep(SECONDS)
        wait_until(lambda: outbox.query(MANY) == [(True,)], what="more than a hundred events")
        world.calm = True
        world.ends.set()
        for actor in actors:
            actor.join(30)
        redelivery.retry(database, LetterFilter())
        wait_until(lambda: outbox.marks() == EMPTY, what="an empty outbox")
    recorded = {id_ for (id_,) in outbox.query("select id from eventgen.events")}
    assert len(recorded) > 100
    assert set(receiver.ids) == recorded
    in_order(receiver.got)
