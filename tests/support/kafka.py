"""A cluster of Kafka brokers inside librdkafka, which speaks its protocol over loopback and misbehaves as told.

It is the library's own mock cluster, of the very library that the client brings along: its leaders move, its brokers
go and come back without forgetting, and requests meet the errors that are asked for.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import TYPE_CHECKING

import confluent_kafka
from typing_extensions import Self

if TYPE_CHECKING:
    from types import TracebackType

PRODUCE = 0
"""Of the protocol's requests."""


def _library() -> ctypes.CDLL:
    folder = Path(confluent_kafka.__file__).parent
    places = [*folder.parent.glob("confluent_kafka.libs/librdkafka*.so*"), *folder.glob(".dylibs/librdkafka*")]
    found = ctypes.CDLL(str(places[0]))
    for name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_mock_cluster_new"):
        getattr(found, name).restype = ctypes.c_void_p
    found.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    return found


class KafkaCluster:
    """Three brokers, by number from 1, and a topic `events` of six partitions."""

    brokers = (1, 2, 3)

    def __enter__(self) -> Self:
        self._library = _library()
        words = (ctypes.create_string_buffer(512), ctypes.c_size_t(512))
        options = ctypes.c_void_p(self._library.rd_kafka_conf_new())
        self._library.rd_kafka_conf_set(options, b"log_level", b"0", *words)
        self._handle = ctypes.c_void_p(self._library.rd_kafka_new(0, options, *words))
        self._cluster = ctypes.c_void_p(self._library.rd_kafka_mock_cluster_new(self._handle, len(self.brokers)))
        self.servers = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode().split(",")
        self._call("topic_create", b"events", 6, len(self.brokers))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._handle)

    def _call(self, name: str, *arguments: object) -> None:
        code = getattr(self._library, f"rd_kafka_mock_{name}")(self._cluster, *arguments)
        assert not code, f"{name}: {code}"

    def down(self, broker: int) -> None:
        """Close a broker's connections, and refuse new ones."""
        self._call("broker_set_down", broker)

    def up(self, broker: int) -> None:
        self._call("broker_set_up", broker)

    def lead(self, topic: str, partition: int, broker: int) -> None:
        """Make a broker the leader of a partition; -1: nobody is."""
        self._call("partition_set_leader", topic.encode(), partition, broker)

    def slow(self, broker: int, milliseconds: int) -> None:
        """Make a broker take so long to answer; 0: no longer."""
        self._call("broker_set_rtt", broker, milliseconds)

    def refuse(self, request: int, *errors: int) -> None:
        """Meet the next requests of a kind with these errors, one each; those of the protocol, by number."""
        codes = (ctypes.c_int * len(errors))(*errors)
        self._library.rd_kafka_mock_push_request_errors_array(
            self._cluster, ctypes.c_int16(request), ctypes.c_size_t(len(errors)), codes
        )

    def spoil(self, topic: str, error: int) -> None:
        """Let a topic's metadata be an error; 0: no longer."""
        self._library.rd_kafka_mock_topic_set_error(self._cluster, topic.encode(), error)
