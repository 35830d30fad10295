"""Faults put into the relay's code on purpose, one at a time, each of which its tests must find.

`python -m proofs.mutants.relay [WORD…]` prints which were found, as `mutants` does.
"""

from __future__ import annotations

from proofs.mutants.harness import Edit
from proofs.mutants.target import Mutant, main


def checked_by(*words: str, file: str = "test_relay") -> list[str]:
    return ["-m", "pytest", "-q", "-x", "--timeout=60", f"tests/target/{file}.py", "-k", " or ".join(words)]


PURE = ["-m", "pytest", "-q", "-x", "tests/target/test_delivery.py"]
WAVES = ["-m", "pytest", "-q", "-x", "tests/publishers/test_waves.py"]
FILES = ["-m", "pytest", "-q", "-x", "tests/target/test_file_publisher.py"]

MUTANTS = (
    Mutant(
        "what is pending is read behind the last sequence that was delivered",
        (
            Edit(
                "due",
                'AND slot = wanted.slot"\n        "   ORDER BY',
                'AND slot = wanted.slot AND sequence > (SELECT count(*) + sum(delivered) FROM eventgen.slots)"\n        "   ORDER BY',
            ),
        ),
        checked_by("commits_late", "each_event_is_delivered_once"),
    ),
    Mutant(
        "slots are not locked",
        (Edit("lock_slots", " FOR UPDATE SKIP LOCKED) AS locked", ") AS locked"),),
        checked_by("share_the_work"),
    ),
    Mutant(
        "what is marked in a turn is not removed",
        (Edit("PublisherWorker._mark", "*([turns.unmark(self.number, fresh)] if fresh else ()),", "*(),"),),
        checked_by("each_event_is_delivered_once"),
    ),
    Mutant(
        "marks are removed before the events are published",
        (
            Edit(
                "PublisherWorker._turn",
                "            verdicts, halt = self._publish(publisher, items)\n",
                "            self._mark(cursor, [Done(item) for item in items]); cursor.connection.commit()\n            verdicts, halt = self._publish(publisher, items)\n",
            ),
        ),
        checked_by("killed_between", file="test_relay_processes"),
    ),
    Mutant(
        "a failed event's key is not held within the turn",
        (
            Edit(
                "judge",
                "            stopped.add(item.key)\n    return Judgement",
                "            stopped.discard(item.key)\n    return Judgement",
            ),
        ),
        PURE,
    ),
    Mutant(
        "a later call passes events behind a dead one",
        (Edit("judge", "            stopped.add(item.key)  # else a later call would pass it\n", ""),),
        checked_by("pass_a_dead_letter"),
    ),
    Mutant(
        "a held key's later events are read as if nothing held it",
        (Edit("recorded", "CASE WHEN any_blocked THEN", "CASE WHEN false THEN"),),
        checked_by("blocks_its_key", "while_their_key_is_blocked"),
    ),
    Mutant(
        "what waits behind a key is forgotten when it is let go",
        (
            Edit(
                "unblock_keys",
                'SELECT {publisher}, slot, sequence FROM moved"\n    ).format(publisher=sql.Literal(publisher), subjects',
                'SELECT {publisher}, slot, sequence FROM moved WHERE false"\n    ).format(publisher=sql.Literal(publisher), subjects',
            ),
        ),
        checked_by("blocks_its_key", "while_their_key_is_blocked"),
    ),
    Mutant(
        "an unreachable receiver counts against the event",
        (
            Edit(
                "PublisherWorker._publish",
                '                return verdicts, Halt("away", str(error))\n',
                "                error.reason, error.permanent, error.retry_after, error.cause = str(error), False, None, 'event'\n"
                "                outcomes = [error] * len(call)\n",
            ),
        ),
        checked_by("no_event_was_blamed"),
    ),
    Mutant(
        "a busy receiver is an attempt of the event",
        (
            Edit(
                "judge",
                'if outcome.cause in {"busy", "gone"} or not (counts or outcome.permanent):',
                "if not (counts or outcome.permanent):",
            ),
        ),
        PURE,
    ),
    Mutant(
        "attempts are counted though nothing gets through",
        (Edit("judge", "counts = through or", "counts = True or"),),
        checked_by("outage_of_any_length", file="test_slow_receivers"),
    ),
    Mutant(
        "whether others passed since an event failed is not asked",
        (Edit("judge", "through or item.passed or", "through or"),),
        checked_by("tried_alone", file="test_slow_receivers"),
    ),
    Mutant(
        "that many keys fail at once says nothing of the receiver",
        (Edit("_fails", "return len(failures) >= FAILING_KEYS", "return False"),),
        PURE,
    ),
    Mutant(
        "an event that was not sent is blamed",
        (
            Edit(
                "judge",
                '        if outcome.cause == "unsent":\n            stopped.add(item.key)\n            continue\n',
                "",
            ),
        ),
        PURE,
    ),
    Mutant(
        "a busy receiver pauses this relay alone",
        (Edit("PublisherWorker._turn", 'if halt is not None and halt.cause == "busy":', "if False:"),),
        checked_by("another_relay_keeps", file="test_slow_receivers"),
    ),
    Mutant(
        "a relay delivers during the pause of another",
        (Edit("RESTING", "coalesce(paused_until > clock_timestamp(), false)", "false"),),
        checked_by("another_relay_keeps", file="test_slow_receivers"),
    ),
    Mutant(
        "what the receiver refused last goes first again",
        (Edit("Gate.in_turn", "if self._refused else list(items)", "if False else list(items)"),),
        checked_by("starves_no_other", file="test_slow_receivers"),
    ),
    Mutant(
        "an absent receiver is stormed",
        (Edit("take", "most = 1 if pace.probing else wanted", "most = wanted"),),
        checked_by("one_event_at_a_time", file="test_pace"),
    ),
    Mutant(
        "no rate is learned from refusals",
        (
            Edit(
                "busy",
                "learned = min(pace.rate * LOWERED, max(learned, pace.rate * MOST_LOWERED))",
                "learned = pace.rate",
            ),
        ),
        checked_by("rate_of_its_own", file="test_pace"),
    ),
    Mutant(
        "a rate limit is not kept",
        (Edit("Relay.run", "Gate(route.name, self._clock, route.rate_limit)", "Gate(route.name, self._clock)"),),
        checked_by("rate_limit", file="test_slow_receivers"),
    ),
    Mutant(
        "a schedule is not followed",
        (Edit("PublisherWorker._publish", "delays=self._route.delays,", "delays=None,"),),
        checked_by("by_its_schedule", file="test_slow_receivers"),
    ),
    Mutant(
        "a publisher whose receiver is gone is delivered to all the same",
        (Edit("RESTING", "off_at IS NOT NULL OR ", ""),),
        checked_by("is_gone", file="test_slow_receivers"),
    ),
    Mutant(
        "nobody is told that a receiver is gone",
        (
            Edit(
                "PublisherWorker._turn",
                'if halt is not None and halt.cause == "gone":\n                cursor',
                "if False:\n                cursor",
            ),
        ),
        checked_by("is_gone", file="test_slow_receivers"),
    ),
    Mutant(
        "dead letters leave exit status 0 though asked for",
        (Edit("complaints_of", "if result.dead and dead_too", "if False"),),
        checked_by("dead_letters_are_a_warning", file="test_relay_processes"),
    ),
    Mutant(
        "a missing part of a name is left out",
        (Edit("destination", "if not parts[part]:", "if False:"),),
        WAVES,
    ),
    Mutant(
        "a part of a key may bring dots into a name",
        (Edit("holds_separator", "return any(separator in", "return False and any(separator in"),),
        WAVES,
    ),
    Mutant(
        "stream and key of an event are not read",
        (Edit("recorded", "traceparent, tracestate, stream, key::text", "traceparent, tracestate"),),
        checked_by("stream_and_key_of", file="test_relay"),
    ),
    Mutant(
        "a deletion counts as delivered before its tombstone",
        (Edit("Kafka._send", "                outcomes[index] = outcome\n", "                pass\n"),),
        ["-m", "pytest", "-q", "-x", "tests/publishers/test_kafka.py", "-k", "tombstone"],
    ),
    Mutant(
        "a publisher gets the events of all pipelines",
        (Edit("FITS", "publisher.sources IS NULL OR", "true OR"),),
        checked_by("of_its_pipeline", file="test_publishers_of_pipelines"),
    ),
    Mutant(
        "a name may be used for another address",
        (Edit("_refusals", "if other.address and route.address and", "if False and"),),
        checked_by("another_address", file="test_publishers_of_pipelines"),
    ),
    Mutant(
        "a name may be used by another pipeline",
        (Edit("_refusals", "elif None not in {other.source, source} and", "elif False and"),),
        checked_by("is_another_pipelines", file="test_publishers_of_pipelines"),
    ),
    Mutant(
        "a publisher of earlier code loses the events of other pipelines",
        (Edit("_sources", "        return known.sources\n", "        pass\n"),),
        checked_by("keeps_getting", file="test_publishers_of_pipelines"),
    ),
    Mutant(
        "a call goes on though the receiver is busy",
        (Edit("WebhookPublisher._run", "elif self._closed or time", "elif time"),),
        ["-m", "pytest", "-q", "-x", "tests/publishers/test_webhook.py", "-k", "makes_no_more_requests"],
    ),
    Mutant(
        "a publisher is registered without keeping recorders out",
        (Edit("register", "        cursor.execute(tables.LOCK_EVENTS)\n        known", "        known"),),
        checked_by("comes_during_a_load"),
    ),
    Mutant(
        "nobody is notified",
        (Edit("CREATE", "    perform pg_notify({channel}, '');\n", "    perform {channel}, '';\n"),),
        checked_by("wakes_a_relay"),
    ),
    Mutant(
        "a relay that hears nothing never looks",
        (
            Edit(
                "PublisherWorker._deliver",
                "self._clock.wait(self.wake, min(pause, POLL_SECONDS))",
                "self._clock.wait(self.wake, 60 if self._settings.follow else pause)",
            ),
        ),
        checked_by("looks_by_itself"),
    ),
    Mutant(
        "patterns of types are not followed",
        (Edit("FITS", "(publisher.types IS NULL OR event.type LIKE ANY (publisher.types))", "true"),),
        checked_by("type_and_stream_lead"),
    ),
    Mutant(
        "patterns of streams are not followed",
        (Edit("FITS", "(publisher.streams IS NULL OR event.stream LIKE ANY (publisher.streams))", "true"),),
        checked_by("type_and_stream_lead"),
    ),
    Mutant(
        "old events go though somebody has not had them",
        (
            Edit(
                "tidy",
                '"   OR EXISTS (SELECT FROM eventgen.waiting WHERE waiting.publisher = publisher.number"',
                '"   OR EXISTS (SELECT FROM eventgen.waiting WHERE false AND waiting.publisher = publisher.number"',
            ),
        ),
        checked_by("go_by_age"),
    ),
    Mutant(
        "young events go too",
        (Edit("tidy", 'AND event.old"', 'AND event.old IS NOT NULL"'),),
        checked_by("go_by_age"),
    ),
    Mutant(
        "a retried dead letter's key stays held",
        (
            Edit(
                "_settle",
                "            cursor.execute(blocking.unblock_keys(number, [key for (key,) in cursor.fetchall()]))\n",
                "",
            ),
        ),
        checked_by("listed", "dropped", file="test_relay_processes"),
    ),
    Mutant(
        "a replay takes dead letters along",
        (
            Edit(
                "replay",
                '" AND NOT EXISTS (SELECT FROM eventgen.dead_letters WHERE dead_letters.publisher = publisher.number"',
                '" AND NOT EXISTS (SELECT FROM eventgen.dead_letters WHERE false AND dead_letters.publisher = publisher.number"',
            ),
            Edit(
                "replay",
                '" AND NOT EXISTS (SELECT FROM eventgen.blocked WHERE blocked.publisher = publisher.number"\n        "  AND blocked',
                '" AND NOT EXISTS (SELECT FROM eventgen.blocked WHERE false AND blocked.publisher = publisher.number"\n        "  AND blocked',
            ),
        ),
        checked_by("undelivered_or_dead", file="test_relay_processes"),
    ),
    Mutant(
        "a half written line stays",
        (
            Edit(
                "_without_half_line",
                "        os.ftruncate(file, end)\n    return end",
                "        end = size\n    return end",
            ),
        ),
        FILES,
    ),
    Mutant(
        "a failed write stays",
        (
            Edit(
                "FilePublisher._append", "            os.ftruncate(file, size)\n            raise", "            raise"
            ),
        ),
        FILES,
    ),
    Mutant(
        "a file is not synced",
        (Edit("FilePublisher._append", "            if self._fsync:\n                os.fsync(file)\n", ""),),
        FILES,
    ),
    Mutant(
        "writers of one file don't look where its name leads",
        (Edit("FilePublisher._locked", "                if self._is_current(file):", "                if file:"),),
        FILES,
    ),
)


if __name__ == "__main__":
    main(MUTANTS)
