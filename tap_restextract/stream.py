"""The stream: singer-sdk's settings, catalog and maps on one side, the walk and the client on the other.

Theory of operation. A walk's step says what to write, which bookmark is then true, and what to ask next. The next page
is asked for at once, in a thread of its own, while this one is written: records first, flushed, and only then the STATE
that covers them. Whatever moment the process dies at, the last STATE on stdout has everything before it on stdout.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, closing
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from singer_sdk import Stream
from singer_sdk.helpers._catalog import pop_deselected_record_properties
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.io_base import SingerWriter
from singer_sdk.mapper import SameRecordTransform

from tap_restextract.bookmarks import Bookmark, checkpointed, from_state
from tap_restextract.errors import AnswerError
from tap_restextract.hashes.sqlite import SqliteHashes
from tap_restextract.messages import projected, record_lines
from tap_restextract.paths import find
from tap_restextract.plan import Plan, Walk
from tap_restextract.steps import Ask, Page, Record, Step, Steps
from tap_restextract.walk import walk

if TYPE_CHECKING:
    from singer_sdk import Tap
    from singer_sdk.helpers.types import Context

    from tap_restextract.client import Client

PIPE_BYTES: Final = 1 << 16
Open = Callable[["Plan"], "Client"]


class RestStream(Stream):
    """One configured stream; its walk is the plan's."""

    # What an API's JSON says is what is emitted: there is nothing to conform.
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE

    def __init__(self, tap: Tap, plan: Plan, schema: dict[str, Any], open_client: Open) -> None:
        self._plan = plan
        self._open_client = open_client
        super().__init__(tap, schema=schema, name=plan.stream.name)
        self.primary_keys = plan.stream.primary_key
        self.replication_key = plan.replication_key

    @property
    def is_sorted(self) -> bool:
        """Every walk that moves STATE before its end reads in order."""
        return self._plan.replication_key is not None

    @property
    def partitions(self) -> None:
        """There are none: the walk's bookmark is the whole stream's."""
        return

    def log(self, message: str, *args: Any, level: int = logging.INFO, **kwargs: Any) -> None:
        """Log for the stream; not that an error is "unhandled", since the command line tells it in words."""
        if level != logging.ERROR:
            super().log(message, *args, level=level, **kwargs)

    def get_records(self, context: Context | None) -> Iterable[dict[str, Any]]:
        """The stream's records without their messages, as BATCH files and other callers of singer-sdk take them."""
        del context
        for step in self._steps():
            yield from self._complete(step.records)

    def get_replication_key_signpost(self, context: Context | None = None) -> None:
        """None: the walk bounds its own bookmark."""
        del context

    def _sync_records(
        self, context: Context | None = None, *, write_messages: bool = True
    ) -> Generator[dict[str, Any], Any, Any]:
        """Write each step's records, then the STATE that covers them."""
        del context
        with self.get_record_counter() as counter, self.get_sync_timer():
            written = 0
            for step in self._steps():
                records = self._complete(step.records)
                limit = self.ABORT_AT_RECORD_COUNT
                if limit is not None and written + len(records) > limit:
                    self._write(records[: limit - written])
                    self._check_max_record_limit(current_record_index=limit)
                if write_messages and self.selected:
                    self._write(records)
                    self._checkpoint(step.bookmark)
                else:
                    yield from records
                written += len(records)
                counter.increment(len(records))

    def _steps(self) -> Iterator[Step]:
        bookmark = from_state(self._plan, self.stream_state)
        with ExitStack() as stack:
            client = stack.enter_context(closing(self._open_client(self._plan)))
            cache = None
            if self._plan.walk is Walk.SWEEP:
                cache = stack.enter_context(closing(SqliteHashes(self._plan.stream.hash_cache, self.name)))
                if bookmark and bookmark.sweep and bookmark.sweep.cache != cache.identity:
                    self.logger.warning(
                        "stream %s: STATE names another hash cache than %s, so every record comes out again, and what was deleted since can't be told",
                        self.name,
                        self._plan.stream.hash_cache,
                    )
            yield from driven(walk(self._plan, bookmark, cache, _now()), client.page)

    def _checkpoint(self, bookmark: Bookmark | None) -> None:
        if bookmark is None:
            return
        state = self.stream_state
        after = checkpointed(self._plan, state, bookmark)
        state.clear()
        state.update(after)
        self._tap.state_writer.write_state(self.tap_state)

    def _complete(self, records: Sequence[Record]) -> Sequence[Record]:
        """The records with a nested replication key copied to the top, each checked for its primary key."""
        incremental, key = self._plan.stream.incremental, self._plan.replication_key
        if incremental and key and key != incremental.cursor_path:
            records = [{**record, key: find(incremental.cursor_path, record)} for record in records]
        for name in self._plan.stream.primary_key:
            for record in records:
                if record.get(name) is None:
                    raise AnswerError(
                        f"stream {self.name}: a record has no {name}, which is in its primary_key; "
                        "mend primary_key, or let the request leave such records out"
                    )
        return records

    def _write(self, records: Sequence[Record]) -> None:
        if not records:
            return
        if self._is_plain:
            text = record_lines(self.name, projected(records, self._selected_properties), _now(), self._stream_version)
            write(text)
            return
        for record in records:
            known = {name: value for name, value in record.items() if name in self._selected_properties}
            pop_deselected_record_properties(known, self.schema, self.mask)
            self._write_record_message(known)

    @property
    def _selected_properties(self) -> frozenset[str]:
        return frozenset(name for name in self.schema["properties"] if self.mask["properties", name])

    @property
    def _is_plain(self) -> bool:
        """Whether messages are the records as they are: no map, no flattening, no selection below the top."""
        maps = self.stream_maps
        nested = any(not selected and len(crumb) > len(("properties", "name")) for crumb, selected in self.mask.items())
        return len(maps) == 1 and type(maps[0]) is SameRecordTransform and not maps[0].flattening_enabled and not nested


def driven(steps: Steps, fetch: Callable[[Ask], Page]) -> Iterator[Step]:
    """The walk's steps, each next page being fetched while the caller works on the step before."""
    with closing(steps):
        step = next(steps)
        while True:
            coming = None if step.ask is None else _in_background(fetch, step.ask)
            yield step
            if coming is None:
                return
            step = steps.send(coming.result())


def _in_background(fetch: Callable[[Ask], Page], ask: Ask) -> Future[Page]:
    """The page, fetched by a daemon thread: a process that is told to end doesn't wait for an answer in flight."""
    future: Future[Page] = Future()

    def run() -> None:
        try:
            future.set_result(fetch(ask))
        except BaseException as error:  # noqa: BLE001  it is raised again where the result is asked for
            future.set_exception(error)

    threading.Thread(target=run, name="next page", daemon=True).start()
    return future


class Unbroken:
    """A place in which a signal doesn't end the process: it ends with the place instead, or at the second signal."""

    def __init__(self) -> None:
        self._inside = False
        self._ending: int | None = None

    def __enter__(self) -> None:
        self._inside = True

    def __exit__(self, *_: object) -> None:
        self._inside = False
        if self._ending is not None:
            sys.exit(self._ending)

    def end(self, code: int) -> None:
        """End the process with this exit code, once the line that is being written is whole."""
        if not self._inside or self._ending is not None:
            sys.exit(code)
        self._ending = code


unbroken: Final = Unbroken()


class WholeLines(SingerWriter):
    """singer-sdk's messages, each a line that no signal cuts."""

    def write_message(self, message: Any) -> None:
        """Write and flush one message."""
        with unbroken:
            super().write_message(message)


def write(lines: bytes) -> None:
    """Whole lines to stdout, flushed; a stdout that was replaced may have no bytes below it."""
    buffer = getattr(sys.stdout, "buffer", None)
    if buffer is None:
        sys.stdout.write(lines.decode())
        return
    sys.stdout.flush()
    start = 0
    while start < len(lines):
        # A pipe's worth at a time: its reader may be slow, and a signal waits for no more than this.
        end = lines.rfind(b"\n", start, start + PIPE_BYTES) + 1 or lines.find(b"\n", start) + 1 or len(lines)
        with unbroken:
            buffer.write(lines[start:end])
            buffer.flush()
        start = end


def _now() -> str:
    return datetime.now(timezone.utc).isoformat()
