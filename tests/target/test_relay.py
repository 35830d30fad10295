"""What the relay promises, over a real Postgres: nothing skipped, each key's order, nobody in another's way."""

from __future__ import annotations

import os
import secrets
import signal
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from msgspec.structs import replace

from target_eventgen import embedded
from target_eventgen.delivery import decisions, listener, relay, session, status, worker
from target_eventgen.delivery.sql import turns
from target_eventgen.errors import ConnectionLostError, SettingsError
from target_eventgen.publishers.cloudevent import CloudEvent, Origin, attributes, structured
from target_eventgen.publishers.protocol import Delivered, Failed, Outcome
from tests.support.proxy import PostgresProxy
from tests.support.relaying import EMPTY, Outbox, Receiver, add, in_order, unreachable
from tests.support.waiting import wait_until

WAITING = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"


@pytest.fixture
def outbox(database: str) -> Outbox:
    return Outbox(database)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decisions, "FIRST_PAUSE_SECONDS", 0.01)


def behind(gate: threading.Event) -> Callable[[object], None]:
    """A receiver's door that is shut until somebody opens it."""

    def wait(_: object) -> None:
        gate.wait(30)

    return wait


class Rebuke:
    """Fails the events with these ids, so many times each."""

    def __init__(self, times: dict[str, int], *, permanent: bool = False) -> None:
        self.left = dict(times)
        self.permanent = permanent

    def __call__(self, event: CloudEvent) -> Outcome:
        if self.left.get(event.id, 0):
            self.left[event.id] -= 1
            return Failed("not today", permanent=self.permanent)
        return Delivered()


# -- all of it, in order ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("most", [1, 7, 100])
def test_e5_each_event_is_delivered_once_and_each_key_in_order(outbox: Outbox, most: int, *, ordered: bool) -> None:
    receiver = Receiver(ordered=ordered, most=most)
    outbox.announce(receiver.delivery())
    outbox.add(keys=30, each=10)
    (result,) = outbox.drain(receiver.delivery())
    assert (result.delivered, result.dead, result.left) == (300, 0, 0)
    assert len(receiver.ids) == len(set(receiver.ids)) == 300
    in_order(receiver.got)
    assert outbox.marks() == EMPTY


def test_an_event_that_commits_late_is_lost_to_a_reader_of_positions_and_not_to_the_relay(outbox: Outbox) -> None:
    receiver = Receiver()
    outbox.announce(receiver.delivery())
    read: list[str] = []
    position = 0

    def read_on() -> None:
        nonlocal position
        for sequence, id_ in outbox.query(
            f"select sequence, id from eventgen.events where sequence > {position} order by sequence"
        ):
            read.append(id_)
            position = sequence

    with outbox.transaction() as slow:
        add(slow, stream="late")
        outbox.add(stream="early")
        read_on()
        outbox.drain(receiver.delivery())
        assert read == receiver.ids == ["early-1-1"]
    outbox.add(stream="last")
    read_on()
    outbox.drain(receiver.delivery())
    assert read == ["early-1-1", "last-1-1"]
    assert sorted(receiver.ids) == ["early-1-1", "last-1-1", "late-1-1"]


def test_an_old_transaction_delays_no_event(outbox: Outbox) -> None:
    receiver = Receiver()
    outbox.announce(receiver.delivery())
    with outbox.transaction() as old, old.cursor() as cursor:
        cursor.execute("select pg_current_xact_id()")
        outbox.add()
        outbox.drain(receiver.delivery())
        assert receiver.ids == ["orders-1-1"]


def test_what_is_rolled_back_is_not_delivered(outbox: Outbox) -> None:
    receiver = Receiver()
    outbox.announce(receiver.delivery())
    with closing(psycopg2.connect(outbox.url)) as connection:
        add(connection)
        connection.rollback()
    outbox.drain(receiver.delivery())
    assert receiver.ids == []


def test_a_turn_is_bounded_by_events_and_bytes(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver = Receiver(most=1000)
    outbox.announce(receiver.delivery())
    outbox.add(keys=10, each=10)
    monkeypatch.setattr(worker, "TURN_BYTES", 1)
    outbox.drain(receiver.delivery(workers=1))
    assert receiver.calls == 100
    assert len(set(receiver.ids)) == 100
    in_order(receiver.got)


def test_each_slot_has_its_turn(outbox: Outbox) -> None:
    receiver = Receiver()
    outbox.announce(receiver.delivery())
    outbox.add(keys=2000, each=1)
    with outbox.transaction() as connection, connection.cursor() as cursor:
        cursor.execute(turns.LOOK_UPS)
        for first in (0, 40, 62):
            wanted = [(first + each) % decisions.SLOTS for each in range(4)]
            cursor.execute(turns.lock_slots(1, first, 4))
            assert [slot for (slot,) in cursor.fetchall()] == wanted


def test_full_turns_over_one_busy_key_are_not_delayed_by_idle_ones(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "TURN_EVENTS", 10)
    monkeypatch.setattr(worker, "BUSY_SECONDS", 20.0)  # what a thread waits that finds nothing
    monkeypatch.setattr(worker, "POLL_SECONDS", 20.0)  # at most
    receiver = Receiver(most=10)
    outbox.announce(receiver.delivery())
    outbox.add(each=100)
    began = time.monotonic()
    outbox.drain(receiver.delivery(workers=1))
    assert time.monotonic() - began < 15
    assert len(receiver.ids) == 100
    in_order(receiver.got)


def test_where_a_turn_is_cut_what_comes_after_it_is_not_taken_for_deleted(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = Receiver(most=1000)
    outbox.announce(receiver.delivery())
    outbox.add(keys=4, each=10)
    outbox.query("delete from eventgen.events where id in ('orders-1-1', 'orders-4-10', 'orders-2-5')")
    monkeypatch.setattr(worker, "TURN_BYTES", 1)
    outbox.drain(receiver.delivery(workers=1))
    assert len(receiver.ids) == len(set(receiver.ids)) == 37
    assert outbox.marks() == EMPTY


def test_a_slow_publisher_blocks_no_other(outbox: Outbox) -> None:
    gate = threading.Event()
    slow, fast = Receiver(before=behind(gate)), Receiver()
    wanted = slow.delivery("slow"), fast.delivery("fast")
    outbox.announce(*wanted)
    outbox.add(keys=20, each=5)
    with outbox.following(*wanted):
        wait_until(lambda: len(fast.got) == 100, what="all that the fast one gets")
        assert slow.got == []
        gate.set()
        wait_until(lambda: len(slow.got) == 100, what="all that the slow one gets")


def test_a_publisher_whose_receiver_is_away_blocks_no_other(outbox: Outbox) -> None:
    away, there = Receiver(before=unreachable), Receiver()
    wanted = away.delivery("away", workers=1), there.delivery("there")  # of two workers one may find the other at it
    outbox.announce(*wanted)
    outbox.add(keys=20, each=5)
    results = outbox.drain(*wanted, patience=0.5)
    assert [(result.delivered, result.left, result.reason) for result in results] == [
        (0, 100, "nobody is there"),
        (100, 0, ""),
    ]
    assert outbox.query("select count(*) from eventgen.blocked") == [(0,)]


def test_events_go_where_their_type_and_stream_lead(outbox: Outbox) -> None:
    receivers = {name: Receiver() for name in ("all", "paid", "refunds_", "users")}
    wanted = (
        receivers["all"].delivery("all"),
        receivers["paid"].delivery("paid", types=("order.%",), streams=("orders",)),
        receivers["refunds_"].delivery("refunds_", types=("order\\_refund",)),
        receivers["users"].delivery("users", streams=("user%",)),
    )
    outbox.announce(*wanted)
    outbox.add(type_="order.paid")
    outbox.add(type_="order_refund", mark="r")
    outbox.add(type_="orderXrefund", mark="x")
    outbox.add(type_="order.paid", stream="users")
    outbox.drain(*wanted)
    assert {name: sorted(receiver.ids) for name, receiver in receivers.items()} == {
        "all": ["orders-1-1", "orders-1-1r", "orders-1-1x", "users-1-1"],
        "paid": ["orders-1-1"],
        "refunds_": ["orders-1-1r"],
        "users": ["users-1-1"],
    }


# -- failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ordered", [True, False])
def test_e5_an_event_that_fails_blocks_its_key_and_no_other_until_it_is_through(
    outbox: Outbox, *, ordered: bool
) -> None:
    receiver = Receiver(ordered=ordered, answer=Rebuke({"orders-2-2": 3, "orders-3-1": 1}))
    outbox.announce(receiver.delivery())
    outbox.add(keys=4, each=4)
    (result,) = outbox.drain(receiver.delivery(workers=1))
    assert (result.delivered, result.dead, result.left) == (16, 0, 0)
    in_order(receiver.got)
    failed_at = receiver.ids.index("orders-2-2")
    assert all(receiver.ids.index(f"orders-{key}-4") < failed_at for key in (1, 4))
    assert outbox.marks() == EMPTY


def test_events_that_come_while_their_key_is_blocked_keep_its_order(outbox: Outbox) -> None:
    refused = threading.Event()
    receiver = Receiver(answer=lambda _: Delivered() if refused.is_set() else Failed("not yet", retry_after=0.3))
    outbox.announce(receiver.delivery())
    outbox.add(each=2)
    with outbox.following(receiver.delivery(max_attempts=1000)):
        wait_until(lambda: outbox.marks()["waiting"] == 1, what="an event that waits")
        outbox.add(each=3, mark="later")
        wait_until(lambda: outbox.marks()["waiting"] == 4, what="four events that wait")
        refused.set()
        wait_until(lambda: len(receiver.got) == 5, what="five deliveries")
    in_order(receiver.got)
    assert outbox.marks() == EMPTY


def test_what_is_refused_for_good_is_a_dead_letter_and_its_key_waits(outbox: Outbox) -> None:
    receiver = Receiver(answer=Rebuke({"orders-1-2": 9}, permanent=True))
    outbox.announce(receiver.delivery())
    outbox.add(keys=2, each=3)
    (result,) = outbox.drain(receiver.delivery())
    assert (result.delivered, result.dead) == (4, 1)
    assert sorted(receiver.ids) == ["orders-1-1", "orders-2-1", "orders-2-2", "orders-2-3"]
    assert outbox.query("select id, attempts, reason from eventgen.dead_letters") == [("orders-1-2", 1, "not today")]
    outbox.add(mark="later")
    outbox.drain(receiver.delivery())
    assert "orders-1-1later" not in receiver.ids
    assert outbox.marks() == {"pending": 0, "blocked": 1, "waiting": 2, "dead_letters": 1}


@pytest.mark.parametrize("ordered", [True, False])
def test_later_events_pass_a_dead_letter_where_the_setting_says_so(outbox: Outbox, *, ordered: bool) -> None:
    receiver = Receiver(ordered=ordered, most=3, answer=Rebuke({"orders-1-2": 9}, permanent=True))
    outbox.announce(receiver.delivery())
    outbox.add(keys=1, each=8)
    (result,) = outbox.drain(receiver.delivery(waits=False))
    assert (result.delivered, result.dead) == (7, 1)
    in_order(receiver.got)
    assert outbox.marks() == {**EMPTY, "dead_letters": 1}


@pytest.mark.parametrize("waits", [True, False])
def test_an_event_is_dead_after_so_many_attempts_and_not_before(outbox: Outbox, *, waits: bool) -> None:
    receiver = Receiver(answer=Rebuke({"orders-1-1": 3, "orders-2-1": 2}))
    outbox.announce(receiver.delivery())
    outbox.add(keys=2, each=2)
    (result,) = outbox.drain(receiver.delivery(max_attempts=3, waits=waits))
    assert (result.delivered, result.dead) == (2 if waits else 3, 1)
    assert outbox.query("select id, attempts from eventgen.dead_letters") == [("orders-1-1", 3)]
    assert ("orders-1-2" in receiver.ids) is not waits


def test_a_receiver_that_was_away_gets_everything_and_no_event_was_blamed(outbox: Outbox) -> None:
    receiver = Receiver()
    times = iter([True] * 10)

    def sometimes(_: object) -> None:
        if next(times, False):
            unreachable(())

    receiver.before = sometimes
    outbox.announce(receiver.delivery())
    outbox.add(keys=5, each=5)
    (result,) = outbox.drain(receiver.delivery(max_attempts=1), patience=60)
    assert (result.delivered, result.dead, result.left) == (25, 0, 0)


def test_a_receiver_that_can_not_be_reached_at_first_is_tried_again(outbox: Outbox) -> None:
    receiver = Receiver()
    opened = 0

    def open_() -> Receiver:
        nonlocal opened
        opened += 1
        if opened < 3:
            unreachable(())
        return receiver

    outbox.announce(receiver.delivery())
    outbox.add(keys=3)
    (result,) = outbox.drain(replace(receiver.delivery(workers=1), open=open_))
    assert (result.delivered, opened) == (3, 3)


def test_a_publisher_that_can_not_be_opened_ends_all_before_it_begins(outbox: Outbox) -> None:
    def open_() -> Receiver:
        raise SettingsError(["its library is not there"])

    receiver = Receiver()
    wanted = receiver.delivery("good"), replace(receiver.delivery("bad"), open=open_)
    outbox.announce(*wanted)
    outbox.add(keys=3)
    with pytest.raises(SettingsError, match="library"):
        outbox.drain(*wanted)
    assert receiver.ids == []
    assert receiver.closed == 2


def test_one_worker_that_finds_nothing_to_do_gives_nothing_up_while_another_is_at_work(outbox: Outbox) -> None:
    receiver = Receiver(most=1, before=lambda _: time.sleep(0.05))
    outbox.announce(receiver.delivery())
    outbox.add(keys=1, each=40)
    (result,) = outbox.drain(receiver.delivery(workers=2), patience=0.5)
    assert (result.delivered, result.left) == (40, 0)


def test_keys_and_reasons_may_contain_any_character(outbox: Outbox) -> None:
    odd = 'it\'s \\ "{%s}" \n é 𝄞'
    receiver = Receiver(answer=lambda event: Delivered() if event.id.endswith("2") else Failed(f"no {odd}"))
    outbox.announce(receiver.delivery())
    outbox.add(keys=2, each=2, stream=odd, type_=odd)
    outbox.drain(receiver.delivery(max_attempts=2, waits=False))
    assert sorted(receiver.ids) == [f"{odd}-1-2", f"{odd}-2-2"]
    assert {event.subject for event in receiver.got} == {f"{odd}/1", f"{odd}/2"}
    assert [reason.startswith("no it's") for (reason,) in outbox.query("select reason from eventgen.dead_letters")] == [
        True,
        True,
    ]
    assert outbox.marks() == {**EMPTY, "dead_letters": 2}


def test_a_role_that_may_only_record_events_marks_them(outbox: Outbox) -> None:
    receiver = Receiver()
    outbox.announce(receiver.delivery())
    role = f"recorder_{secrets.token_hex(4)}"
    rights = f"grant usage on schema eventgen to {role}; grant insert on eventgen.events to {role}"
    outbox.query(f"create role {role}; {rights}")
    try:
        with outbox.transaction() as connection, connection.cursor() as cursor:
            cursor.execute(f"set local role {role}")
            add(connection)
    finally:
        outbox.query(f"drop owned by {role}; drop role {role}")
    outbox.drain(receiver.delivery())
    assert receiver.ids == ["orders-1-1"]


def test_a_relay_that_does_not_follow_leaves_what_is_due_only_later(outbox: Outbox) -> None:
    receiver = Receiver(answer=lambda _: Failed("come back tomorrow", retry_after=86400))
    outbox.announce(receiver.delivery())
    outbox.add(keys=2, each=2)
    began = time.monotonic()
    (result,) = outbox.drain(receiver.delivery())
    assert time.monotonic() - began < 30
    assert (result.left, result.reason) == (4, "come back tomorrow")


def test_an_event_that_somebody_deleted_blocks_nothing(outbox: Outbox) -> None:
    receiver = Receiver(answer=Rebuke({"orders-1-1": 1}))
    outbox.announce(receiver.delivery())
    outbox.add(keys=2, each=3)
    outbox.query("delete from eventgen.events where id = 'orders-2-2'")
    outbox.drain(receiver.delivery())
    assert sorted(receiver.ids) == ["orders-1-1", "orders-1-2", "orders-1-3", "orders-2-1", "orders-2-3"]
    assert outbox.marks() == EMPTY


def test_a_blocked_event_that_somebody_deleted_lets_its_key_go(outbox: Outbox) -> None:
    receiver = Receiver(answer=Rebuke({"orders-1-1": 1}))
    outbox.announce(receiver.delivery())
    outbox.add(each=3)
    relay_ = outbox.relay(receiver.delivery(workers=1), patience=0)
    receiver.answer = lambda _: Failed("later", retry_after=1)
    relay_.run(follow=False)
    outbox.query("delete from eventgen.events where id = 'orders-1-1'")
    receiver.answer = lambda _: Delivered()
    outbox.drain(receiver.delivery())
    assert receiver.ids == ["orders-1-2", "orders-1-3"]
    assert outbox.marks() == EMPTY


# -- several relays ---------------------------------------------------------------------------------------------------


def test_e5_relays_share_the_work_and_never_carry_one_key_at_once(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "TURN_EVENTS", 20)
    at_work: dict[int, set[str]] = {}
    together = 0
    clashes: list[set[str]] = []
    lock, met = threading.Lock(), threading.Event()

    def watch(events: list[CloudEvent]) -> None:
        nonlocal together
        me, mine = threading.get_ident(), {event.subject for event in events}
        with lock:
            clashes.extend(mine & other for other in at_work.values() if mine & other)
            together = max(together, len(at_work) + 1)
            at_work[me] = mine
        if together > 1:
            met.set()
        met.wait(1)  # who is alone waits for others; at first there may be nothing left for them
        with lock:
            del at_work[me]

    receiver = Receiver(before=watch, most=20)  # type: ignore[arg-type]  # it is given lists
    outbox.announce(receiver.delivery())
    outbox.add(keys=200, each=10)
    relays = [threading.Thread(target=outbox.drain, args=[receiver.delivery(workers=2)]) for _ in range(2)]
    for each in relays:
        each.start()
    for each in relays:
        each.join()
    assert len(receiver.ids) == len(set(receiver.ids)) == 2000
    assert clashes == []
    assert together > 1
    in_order(receiver.got)


def test_e5_a_relay_whose_transaction_was_ended_repeats_and_the_order_holds(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relay stands still in the middle of a call, another takes over, and the first goes on as if nothing were."""
    monkeypatch.setattr(session, "LEASE_SECONDS", 0.5)
    receiver = Receiver(most=100)
    standing, go_on = threading.Event(), threading.Event()
    stalled = Receiver(most=3, got=receiver.got, lock=receiver.lock)

    def stand_still(_: object) -> None:
        if stalled.calls == 1 and not standing.is_set():
            standing.set()
            go_on.wait(30)

    stalled.before = stand_still
    outbox.announce(receiver.delivery())
    outbox.add(keys=1, each=9)
    with outbox.following(stalled.delivery(workers=1)):
        assert standing.wait(30)
        wait_until(
            lambda: outbox.drain(receiver.delivery(workers=1), patience=10)[0].delivered > 0,
            what="a delivery of another relay",
        )
        go_on.set()
        wait_until(lambda: stalled.calls > 1, what="a second call")
        wait_until(lambda: outbox.marks() == EMPTY, what="an empty outbox")
    assert [event.id for event in receiver.got].count("orders-1-1") >= 2
    assert len(set(receiver.ids)) == 9
    in_order(receiver.got)


def test_a_commit_whose_answer_is_lost_loses_no_event(outbox: Outbox) -> None:
    receiver = Receiver(most=5)
    outbox.announce(receiver.delivery())
    outbox.add(keys=5, each=5)
    for number in range(1, 6):
        with PostgresProxy(outbox.url) as proxy:
            proxy.lose_commit(number)
            Outbox(proxy.url).drain(receiver.delivery(workers=1))
        outbox.add(keys=5, each=5, mark=str(number))
    outbox.drain(receiver.delivery())
    assert len(set(receiver.ids)) == 150
    in_order(receiver.got)
    assert outbox.marks() == EMPTY


@pytest.mark.timeout(180)
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGQUIT], ids=["killed", "shut down at once"])
def test_e5_a_crash_of_postgres_forgets_marks_and_no_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: signal.Signals
) -> None:
    """Marks are committed without a sync: those that a crash takes along are events that come again, with equal ids."""
    monkeypatch.setattr(worker, "TURN_EVENTS", 100)
    folder = tmp_path / "postgres"
    try:
        outbox = Outbox(embedded.up(folder))
        receiver = Receiver(most=50)
        outbox.announce(receiver.delivery())
        outbox.add(keys=40, each=50)
        with closing(psycopg2.connect(outbox.url)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("alter system set wal_writer_delay = '10s'")
                cursor.execute("select pg_reload_conf()")
        postmaster = int((Path(outbox.query("show data_directory")[0][0]) / "postmaster.pid").read_text().split()[0])

        def crash(_: object) -> None:
            if receiver.calls == 13:
                os.kill(postmaster, how)
                wait_until(lambda: not answers(outbox.url), what="a database that is down")

        receiver.before = crash
        with pytest.raises(ConnectionLostError):
            outbox.drain(receiver.delivery(workers=1), reconnect_seconds=0)
        told = set(receiver.ids)
        outbox = Outbox(embedded.up(folder))
        left = outbox.marks()["pending"]
        assert 2000 - left < len(told), "no mark was forgotten"
        outbox.drain(receiver.delivery())
        assert len(receiver.ids) == len(told) + left > 2000
        assert {event.id for event in receiver.got} == {
            f"orders-{key}-{n}" for key in range(1, 41) for n in range(1, 51)
        }
        in_order(receiver.got)
        assert outbox.marks() == EMPTY
    finally:
        embedded.remove(folder)


def answers(url: str) -> bool:
    """Whether a Postgres takes connections there."""
    try:
        psycopg2.connect(url).close()
    except psycopg2.OperationalError:
        return False
    return True


def test_a_database_that_goes_away_and_comes_back_is_waited_for(outbox: Outbox) -> None:
    receiver = Receiver()
    outbox.announce(receiver.delivery())
    outbox.add(keys=3, each=3)
    with PostgresProxy(outbox.url) as proxy, Outbox(proxy.url).following(receiver.delivery()):
        wait_until(lambda: len(receiver.got) == 9, what="nine deliveries")
        proxy.down()
        outbox.add(keys=3, each=3, mark="later")
        proxy.up()
        wait_until(lambda: len(set(receiver.ids)) == 18, what="eighteen deliveries")
    in_order(receiver.got)


def test_a_database_that_stays_away_is_an_error(outbox: Outbox) -> None:
    with PostgresProxy(outbox.url) as proxy:
        receiver = Receiver(before=lambda _: proxy.down())
        outbox.announce(receiver.delivery())
        outbox.add()
        through = Outbox(proxy.url).relay(receiver.delivery(), reconnect_seconds=0.2)
        with pytest.raises(ConnectionLostError, match=r"can't connect to Postgres|broke"):
            through.run(follow=True)


# -- waking, tidying, coming and going --------------------------------------------------------------------------------


def test_a_commit_wakes_a_relay_that_follows(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "POLL_SECONDS", 60)
    receiver = Receiver()
    outbox.announce(receiver.delivery())
    with outbox.following(receiver.delivery()):
        outbox.add(mark="first")
        wait_until(lambda: len(receiver.got) == 1, what="the first delivery")
        time.sleep(0.5)  # until all wait
        began = time.monotonic()
        outbox.add(mark="second")
        wait_until(lambda: len(receiver.got) == 2, what="the second delivery")
        assert time.monotonic() - began < 30


def test_a_relay_that_hears_nothing_looks_by_itself(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "POLL_SECONDS", 0.2)

    def deaf(_: object, seconds: float) -> bool:
        time.sleep(seconds)
        return False

    monkeypatch.setattr(listener.NotificationListener, "wait", deaf)
    receiver = Receiver()
    outbox.announce(receiver.delivery())
    with outbox.following(receiver.delivery()):
        time.sleep(0.5)
        outbox.add()
        wait_until(lambda: len(receiver.got) == 1, what="the first delivery")


def test_a_new_publisher_gets_the_past_unless_it_begins_now(outbox: Outbox) -> None:
    first, all_, late = Receiver(), Receiver(), Receiver()
    outbox.announce(first.delivery("first"))
    outbox.add(mark="past")
    wanted = all_.delivery("all"), late.delivery("late", from_beginning=False)
    outbox.announce(*wanted)
    outbox.add(mark="future")
    outbox.drain(*wanted)
    assert sorted(all_.ids) == ["orders-1-1future", "orders-1-1past"]
    assert late.ids == ["orders-1-1future"]


def test_a_publisher_that_comes_during_a_load_gets_each_event_once(outbox: Outbox) -> None:
    receiver = Receiver()
    outbox.announce(Receiver().delivery("other"))
    with outbox.transaction() as open_:
        add(open_, mark="before")
        thread = threading.Thread(target=outbox.announce, args=[receiver.delivery()])
        thread.start()
        wait_until(lambda: outbox.query(WAITING) == [(1,)], what="a relay that waits")
    thread.join()
    outbox.add(mark="after")
    outbox.drain(receiver.delivery())
    assert receiver.ids == ["orders-1-1before", "orders-1-1after"]


def test_other_patterns_count_from_then_on(outbox: Outbox) -> None:
    receiver = Receiver()
    outbox.announce(receiver.delivery(types=("a",)))
    outbox.add(type_="a", mark="a")
    outbox.add(type_="b", mark="b")
    outbox.announce(receiver.delivery(types=("b",)))
    outbox.add(type_="a", mark="A")
    outbox.add(type_="b", mark="B")
    outbox.drain(receiver.delivery(types=("b",)))
    assert sorted(receiver.ids) == ["orders-1-1B", "orders-1-1a"]


def test_delivered_events_go_by_age_and_others_stay(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "TIDY_EVENTS", 2)
    receiver, slow = Receiver(), Receiver(answer=Rebuke({"orders-1-1": 1, "orders-3-2": 99}, permanent=True))
    outbox.announce(receiver.delivery(), slow.delivery("slow"))
    outbox.add(keys=4, each=2)
    outbox.drain(receiver.delivery(), slow.delivery("slow"), retention_days=1)
    assert outbox.query("select count(*) from eventgen.events") == [(8,)]
    outbox.query("update eventgen.events set recorded_at = recorded_at - interval '2 days' where id <> 'orders-4-2'")
    outbox.drain(receiver.delivery(), slow.delivery("slow"), retention_days=1)
    kept = [id_ for (id_,) in outbox.query("select id from eventgen.events order by id")]
    # dead letters, what waits behind one, and what is young
    assert kept == ["orders-1-1", "orders-1-2", "orders-3-2", "orders-4-2"]


def test_a_publisher_knows_stream_and_key_of_an_event_and_does_not_send_them(outbox: Outbox) -> None:
    receiver = Receiver()
    outbox.announce(receiver.delivery())
    outbox.add(stream="order/lines")
    outbox.drain(receiver.delivery())
    assert receiver.got[0].origin == Origin("order/lines", '{"id": 1}')
    assert b"origin" not in structured(receiver.got[0])
    assert "stream" not in attributes(receiver.got[0])


def test_a_publisher_that_delivered_nothing_for_days_goes_on(outbox: Outbox) -> None:
    receiver = Receiver()
    outbox.announce(receiver.delivery())
    outbox.add()
    outbox.drain(receiver.delivery())
    outbox.query("update eventgen.slots set delivered_at = delivered_at - interval '5 days'")
    outbox.add(mark="later")
    assert status.read(outbox.url).publishers[0].per_second == pytest.approx(0.0)
    outbox.drain(receiver.delivery())
    assert receiver.ids == ["orders-1-1", "orders-1-1later"]
    assert status.read(outbox.url).publishers[0].per_second > 0


def test_a_relay_that_is_stopped_ends_after_the_call_that_is_under_way(outbox: Outbox) -> None:
    began, go_on = threading.Event(), threading.Event()

    def hold(_: object) -> None:
        began.set()
        go_on.wait(30)

    receiver = Receiver(most=1, before=hold)
    outbox.announce(receiver.delivery())
    outbox.add(keys=100)
    with outbox.following(receiver.delivery(workers=1)) as running:
        assert began.wait(30)
        running.stop()
        go_on.set()
    assert len(receiver.got) == 1
    assert outbox.marks()["pending"] == 100 - len(receiver.got)


def test_publishers_of_a_transaction_that_published_itself_get_nothing_of_it(outbox: Outbox) -> None:
    receiver = Receiver()
    outbox.announce(receiver.delivery())
    with outbox.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("set local eventgen.published = 'yes'")
        add(connection, mark="told")
    outbox.add(mark="untold")
    outbox.drain(receiver.delivery())
    assert receiver.ids == ["orders-1-1untold"]
