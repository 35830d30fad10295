"""Kafka: each event a message keyed by its `partitionkey`, acknowledged by all in-sync replicas of its partition.

Theory of operation. The producer is idempotent: what it repeats on its own, after a broken connection or a change of a
partition's leader, is stored once and in order. So a broker that goes and comes back within `timeout` isn't noticed
here.

What isn't acknowledged in time is unknown. The client would go on sending it in the background, after what the relay
has redelivered meanwhile; so it is purged, and the producer given up for a new one. A message that a broker had
received all the same stays, and is recognized by its id.

A broker refuses a batch of messages as a whole, where it is too large: its messages are then sent once more, one at a
time, and what is refused alone is refused for good.

A tombstone, a message without a value, has a compacted topic forget a key. It is sent once the event of the deletion
is acknowledged, and the event counts as delivered once both are: what fails in between comes again, the event first.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias

import msgspec

from target_eventgen.errors import SettingsError, UnreachableError
from target_eventgen.publishers import kafka_login, payload, tls
from target_eventgen.publishers.cloudevent import CloudEvent, attributes
from target_eventgen.publishers.destination import check, placed
from target_eventgen.publishers.kafka_login import Mechanism
from target_eventgen.publishers.payload import Content
from target_eventgen.publishers.protocol import Delivered, Failed, Outcome, Secret, library
from target_eventgen.publishers.waves import in_waves, sent_where_placed

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message, Producer

PREFIX: Final = "ce_"
"""Begins the name of an attribute among the headers, as the Kafka binding of CloudEvents has it."""

PERMANENT: Final = (
    *("MSG_SIZE_TOO_LARGE", "INVALID_MSG", "INVALID_MSG_SIZE", "RECORD_LIST_TOO_LARGE", "INVALID_RECORD"),
    *("UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC", "TOPIC_EXCEPTION", "POLICY_VIOLATION", "_INVALID_ARG"),
)
"""librdkafka's names of errors that the same event would meet again."""

TOO_LARGE: Final = ("MSG_SIZE_TOO_LARGE", "RECORD_LIST_TOO_LARGE")
"""Those that may be about the batch and not about the message."""

UNKNOWN: Final = (
    *("_MSG_TIMED_OUT", "_TIMED_OUT", "_TRANSPORT", "_ALL_BROKERS_DOWN", "_RESOLVE", "_AUTHENTICATION", "_SSL"),
    *("_PURGE_QUEUE", "_PURGE_INFLIGHT", "_FATAL", "_DESTROY", "REQUEST_TIMED_OUT", "NETWORK_EXCEPTION"),
    *("OUT_OF_ORDER_SEQUENCE_NUMBER", "INVALID_PRODUCER_EPOCH", "UNKNOWN_PRODUCER_ID", "_GAPLESS_GUARANTEE"),
    *("SASL_AUTHENTICATION_FAILED", "NOT_ENOUGH_REPLICAS", "NOT_ENOUGH_REPLICAS_AFTER_APPEND"),
    *("LEADER_NOT_AVAILABLE", "NOT_LEADER_FOR_PARTITION", "CLUSTER_AUTHORIZATION_FAILED"),
)
"""Those after which nothing is known of a message, or that are about the brokers, and not about an event."""

DELIVERED: Final = Delivered()

TOPIC: Final = re.compile(r"(?!\.{1,2}$)[a-zA-Z0-9._-]{1,249}")
"""The names that topics may have."""

GRACE_SECONDS: Final = 0.5
"""Seconds that the client may take beyond its own deadline to report it."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of a publisher to Kafka.

    Attributes:
        servers: `host:port` of some brokers, from which the client learns the others.
        topic: of the messages; it may hold parts of the event, such as `{type}`.
        mode: structured, a message of JSON; or binary, attributes as headers and the data as the message.
        payload: the JSON that is sent instead of the event or its data (`target_eventgen.publishers.payload`).
        tombstones: of rows that are gone, for topics that are compacted: none; after, a null behind their event; or
            instead, a null that has the event's attributes as headers.
        compression: of batches.
        tls: whether connections are encrypted.
        sasl_mechanism: how the user is verified; None: not at all.
        username: of the user.
        password: of the user.
        token_url: of the server that hands out tokens, for OAUTHBEARER.
        client_id: of the client at that server.
        client_secret: of the client at that server.
        scope: that the tokens are to have.
        token_certificate_authority: file of the certificates that that server's is verified with.
        token: one that is shown as it is, instead of such a server.
        sasl_extensions: names and values that go to the brokers beside a token.
        options: the client's own, as librdkafka names them, beside those that are set here.
        timeout: seconds that an acknowledgement may take, with all that the client repeats meanwhile.
        batch_size: events in one call, at most.
        certificate_authority: file of the certificates that the brokers' are verified with.
        client_certificate: file of the client's certificate.
        client_private_key: file of its private key.
    """

    servers: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    topic: str
    mode: Literal["structured", "binary"] = "structured"
    payload: Any = None
    tombstones: Literal["none", "after", "instead"] = "none"
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = "none"
    tls: bool = False
    sasl_mechanism: Mechanism | None = None
    username: str | None = None
    password: Secret | None = None
    token_url: str | None = None
    client_id: str | None = None
    client_secret: Secret | None = None
    scope: str | None = None
    token_certificate_authority: str | None = None
    token: Secret | None = None
    sasl_extensions: Mapping[str, str] = msgspec.field(default_factory=dict)
    options: Mapping[str, str | int | float | bool] = msgspec.field(default_factory=dict)
    timeout: Annotated[float, msgspec.Meta(gt=0, le=120)] = 30.0
    batch_size: Annotated[int, msgspec.Meta(ge=1, le=50_000)] = 1000
    certificate_authority: str | None = None
    client_certificate: str | None = None
    client_private_key: str | None = None

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        if not all(server.rpartition(":")[0] and server.rpartition(":")[2].isdigit() for server in self.servers):
            raise ValueError("each of servers must be like host:9092")
        check("topic", self.topic)
        if not TOPIC.fullmatch(re.sub(r"\{[^{}]*\}", "x", self.topic)):
            raise ValueError("topic may have letters, digits, dots, _ and - beside what stands in braces")
        if faults := list(kafka_login.faults(self)):
            raise ValueError("; ".join(faults))
        if taken := sorted(set(self.options) & set(configuration(self))):
            raise ValueError(f"options has {', '.join(taken)}, which settings of their own or the guarantees decide")
        payload.check(self.payload)
        tls.check(self, encrypted=self.tls)


class _Versions(msgspec.Struct):
    """What the data of an event holds of its row; both are null where there is a payload of the key and no key."""

    old: msgspec.Raw = msgspec.Raw(b"null")
    new: msgspec.Raw = msgspec.Raw(b"{}")


_decode_versions: Final = msgspec.json.Decoder(_Versions).decode


def is_deletion(event: CloudEvent) -> bool:
    """Return whether the event's row is gone with it."""
    versions = _decode_versions(event.data)
    return bytes(versions.new) == b"null" != bytes(versions.old)


def configuration(settings: Settings) -> dict[str, Any]:
    """Return the client's configuration, in librdkafka's names, without its `options`."""
    milliseconds = int(settings.timeout * 1000)
    configured: dict[str, Any] = {
        "bootstrap.servers": ",".join(settings.servers),
        "client.id": "target-eventgen",
        "enable.idempotence": True,
        "acks": "all",
        "partitioner": "murmur2_random",  # that of Java's clients, so that equal keys of theirs and ours meet
        "compression.type": settings.compression,
        "linger.ms": 1,
        "message.timeout.ms": milliseconds,
        "topic.metadata.propagation.max.ms": max(1, milliseconds // 2),  # an unknown topic fails before the timeout
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1000,
        "security.protocol": f"{'SASL_' if settings.sasl_mechanism else ''}{'SSL' if settings.tls else 'PLAINTEXT'}",
    }
    optional = {
        "ssl.ca.location": settings.certificate_authority,
        "ssl.certificate.location": settings.client_certificate,
        "ssl.key.location": settings.client_private_key,
    }
    configured |= {name: value for name, value in optional.items() if value is not None}
    return configured | kafka_login.configuration(settings)


def places(settings: Settings) -> list[str]:
    """Return the topic on each server, any of which says which cluster it is."""
    return [f"{server} {settings.topic}" for server in settings.servers]


def open_publisher(name: str, settings: Settings) -> Kafka:
    """Return a publisher, which connects with the first events.

    Raises:
        SettingsError: the client library is missing, or it refuses its options.
    """
    return Kafka(name, settings, library(name, "confluent_kafka", "kafka"))


class Kafka:
    """Produces messages to topics."""

    ordered = True

    def __init__(self, name: str, settings: Settings, confluent_kafka: Any) -> None:
        self.most = settings.batch_size
        self._name = name
        self._settings = settings
        self._content = Content(settings.mode, settings.payload)
        self._library = confluent_kafka
        self._errors = confluent_kafka.KafkaException
        self._complaint: str | None = None  # the client's last complaint outside of any message
        self._producer: Producer | None = self._open()

    def _open(self) -> Producer:
        def note(error: KafkaError) -> None:
            if error.name() != "_ALL_BROKERS_DOWN" or self._complaint is None:
                self._complaint = error.str()

        if kafka_login.has_expired(self._settings):
            raise SettingsError([f'the publisher "{self._name}": {kafka_login.EXPIRED}'])
        given = {**self._settings.options, **configuration(self._settings), "error_cb": note, "log_level": 0}
        try:
            producer: Producer = self._library.Producer(given)
        except self._errors as error:
            said = error.args[0].str()
            why = kafka_login.KERBEROS_MISSING if kafka_login.NO_PROVIDER in said else said
            raise SettingsError([f'the publisher "{self._name}": {why}']) from error
        return producer

    def publish(self, events: Sequence[CloudEvent]) -> list[Outcome]:
        """Produce events, and return what became of each.

        Raises:
            UnreachableError: no broker can be reached, or none has answered.
        """
        return in_waves(events, lambda wave: sent_where_placed(wave, self._topic, self._send))

    def _topic(self, event: CloudEvent) -> str | Failed:
        topic = placed("topic", self._settings.topic, event)
        if isinstance(topic, str) and not TOPIC.fullmatch(topic):
            return Failed(f"its topic, {self._settings.topic}, would not be a name that Kafka allows", permanent=True)
        return topic

    def _send(self, events: list[CloudEvent], topics: list[str]) -> list[Outcome]:
        outcomes = self._settled([self._message(event, topic) for event, topic in zip(events, topics, strict=True)])
        if self._settings.tombstones == "after":
            gone = [i for i, event in enumerate(events) if outcomes[i] is DELIVERED and is_deletion(event)]
            settled = self._settled([self._tombstone(events[index], topics[index]) for index in gone])
            for index, outcome in zip(gone, settled, strict=True):
                outcomes[index] = outcome
        unknown = [outcome for outcome in outcomes if isinstance(outcome, _Refused) and outcome.name in UNKNOWN]
        if any(isinstance(outcome, _Refused) and outcome.name not in TOO_LARGE for outcome in outcomes):
            self._drop()  # the client would remember for minutes that a topic was missing, or closed to its user
        if len(unknown) == len(events):
            raise UnreachableError(f'the publisher "{self._name}": Kafka can\'t be reached: {unknown[0].reason}')
        return [outcome.failed() if isinstance(outcome, _Refused) else outcome for outcome in outcomes]

    def _settled(self, messages: list[_Produced]) -> list[Delivered | _Refused]:
        """Produce messages, and those alone once more that may have been too large together with others."""
        outcomes = self._give(messages)
        if len(messages) > 1:
            for index, outcome in enumerate(outcomes):
                if isinstance(outcome, _Refused) and outcome.name in TOO_LARGE:
                    (outcomes[index],) = self._give([messages[index]])
        return outcomes

    def _give(self, messages: list[_Produced]) -> list[Delivered | _Refused]:
        """Produce messages, and wait until each is acknowledged or given up."""
        producer = self._reopened()
        outcomes: list[Delivered | _Refused | None] = [None] * len(messages)
        left = [len(messages)]
        self._complaint = None

        def settle(index: int, error: KafkaError | None, _: Message | None = None) -> None:
            outcomes[index] = DELIVERED if error is None else _Refused(error.name(), error.str())
            left[0] -= 1

        for index, (topic, key, value, headers) in enumerate(messages):
            try:
                producer.produce(topic, value, key, headers=headers, on_delivery=partial(settle, index))
            except BufferError:
                settle(index, self._library.KafkaError(self._library.KafkaError._QUEUE_FULL))  # noqa: SLF001  public
            except self._errors as error:
                settle(index, error.args[0])
        self._wait(producer, lambda: left[0] == 0)
        lost = _Refused("_TIMED_OUT", f"no acknowledgement has come within {self._settings.timeout:g} seconds")
        return [outcome if outcome is DELIVERED else self._explained(outcome or lost) for outcome in outcomes]

    def _reopened(self) -> Producer:
        if self._producer is None:
            try:
                self._producer = self._open()
            except SettingsError as error:  # what could be opened once, and no longer
                raise UnreachableError(error.errors[0]) from error
        return self._producer

    def _wait(self, producer: Producer, is_done: Callable[[], bool]) -> None:
        until = time.monotonic() + self._settings.timeout + GRACE_SECONDS
        while not is_done() and (left := until - time.monotonic()) > 0:
            producer.poll(min(left, 0.2))

    def _explained(self, outcome: Delivered | _Refused) -> Delivered | _Refused:
        """Add the client's last complaint to a timeout, as its cause."""
        if isinstance(outcome, _Refused) and outcome.name in {"_MSG_TIMED_OUT", "_TIMED_OUT"} and self._complaint:
            return _Refused(outcome.name, f"{outcome.reason} ({self._complaint})")
        return outcome

    def _message(self, event: CloudEvent, topic: str) -> _Produced:
        if self._settings.tombstones == "instead" and is_deletion(event):
            return self._tombstone(event, topic)
        key = event.partitionkey.encode()
        if self._content.is_structured:
            return topic, key, self._content.of(event), [("content-type", self._content.type.encode())]
        return topic, key, self._content.of(event), _headers(event)

    @staticmethod
    def _tombstone(event: CloudEvent, topic: str) -> _Produced:
        return topic, event.partitionkey.encode(), None, _headers(event)

    def _drop(self) -> None:
        """Give the producer up, with whatever it was still to send."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge()
            producer.poll(0)

    def close(self) -> None:
        """Let the producer go."""
        self._drop()


_Produced: TypeAlias = tuple[str, bytes, bytes | None, list[tuple[str, str | bytes | None]]]
"""A message: topic, key, value, headers. One without a value is a tombstone."""


def _headers(event: CloudEvent) -> list[tuple[str, str | bytes | None]]:
    """Return an event's attributes as headers."""
    headers: list[tuple[str, str | bytes | None]] = [("content-type", event.datacontenttype.encode())]
    return headers + [(f"{PREFIX}{name}", value.encode()) for name, value in attributes(event).items()]


class _Refused(msgspec.Struct, frozen=True):
    """Why a message was not acknowledged.

    Attributes:
        name: the client's, of the error.
        reason: in words.
    """

    name: str
    reason: str

    def failed(self) -> Failed:
        return Failed(f"Kafka: {self.reason}", permanent=self.name in PERMANENT)
