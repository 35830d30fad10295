"""An API in memory with every quirk as a switch.

Time is its own: a clock in milliseconds that moves between requests. Every write takes the clock's value, cut to the
API's tick, as `updated_at`, so that ties are many; with `late` a write becomes visible up to that long after its time.
"""

from __future__ import annotations

import functools
import random
import zlib
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any
from urllib.parse import unquote

from proofs.simulate.quirks import BASE, Quirks

EPOCH = datetime(2024, 1, 1, tzinfo=timezone.utc)
EPOCH_SECONDS = int(EPOCH.timestamp())
Id = int | str
Place = tuple[Any, ...]


@dataclass
class Row:
    """A record, the time of its last write (None: it has none), when that becomes visible, and when it first was."""

    id: Id
    updated: int | None
    rev: int
    visible: int
    born: int = 0
    parent: int = 0


@dataclass
class Reply:
    """What the API answers: status, headers and a body of JSON values."""

    status: int
    headers: dict[str, str]
    body: Any


@dataclass
class Api:
    """The state of the API; `rng` decides all."""

    quirks: Quirks
    rng: random.Random
    now: int = BASE
    rows: dict[Id, Row] = field(default_factory=dict)
    before: dict[Id, Row] = field(default_factory=dict)
    graves: list[Id] = field(default_factory=list)
    issued: dict[str, tuple[int, int, Place]] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    rev: int = 0
    next_id: int = 1
    parents: dict[int, Row] = field(default_factory=dict)
    next_parent: int = 0
    requests: int = 0
    busy: bool = True
    past: deque[dict[Id, Row]] = field(default_factory=lambda: deque(maxlen=4))

    def pass_time(self, most: int = 1500) -> None:
        """Let the clock move on."""
        self.now += self.rng.randrange(most)

    def found_parents(self) -> None:
        """The first parents."""
        for _ in range(self.quirks.parents):
            self._add_parent()

    def _add_parent(self) -> None:
        self.next_parent += 1
        self.parents[self.next_parent] = Row(self.next_parent, BASE, 0, self.now + self.rng.choice([0, 0, 3000]))

    def _change_parents(self) -> None:
        """A parent comes, perhaps later than its records, or goes with them."""
        if self.rng.random() < 0.6 or len(self.parents) < 2:
            self._add_parent()
            return
        gone = self.rng.choice(list(self.parents))
        del self.parents[gone]
        for key in [key for key, row in self.rows.items() if row.parent == gone]:
            del self.rows[key]

    def mutate(self) -> None:
        """One write: an insert, an update or a delete."""
        if self.rng.random() < 0.5:
            self.pass_time(300)
        if self.quirks.undone:
            if self.past and self.rng.random() < 0.2:
                self._take_back()
                return
            self.past.append(dict(self.rows))
        kind = self.rng.random()
        self.rev += 1
        if self.quirks.parents and self.rng.random() < 0.1:
            self._change_parents()
        unmoved = self.quirks.unmoved
        seen_anyway = [key for key, row in self.rows.items() if unmoved or self.quirks.swept or row.updated is None]
        if (self.quirks.silent or unmoved) and kind < 0.2 and seen_anyway:
            key = self.rng.choice(seen_anyway)
            self.rows[key] = replace(self.rows[key], rev=self.rev)
        elif kind < 0.35 or not self.rows:
            self._write(self._new_id())
        elif kind < 0.9:
            self._write(self.rng.choice(list(self.rows)))
        else:
            key = self.rng.choice(list(self.rows))
            del self.rows[key]
            self.graves.append(key)

    def _take_back(self) -> None:
        """The list is what it was a few writes ago; what was gone meanwhile is here since now."""
        held = self.rng.choice(self.past)
        self.rows = {key: row if key in self.rows else replace(row, born=self.now) for key, row in held.items()}

    def give_some_no_time(self) -> None:
        """Records that never get one."""
        for row in list(self.rows.values())[::7]:
            row.updated, row.visible = None, self.now

    def _new_id(self) -> Id:
        if self.quirks.revive and self.graves and self.rng.random() < 0.5:
            return self.rng.choice(self.graves)
        if self.quirks.ids == "rising" or self.quirks.filter == "unique":
            self.next_id += 1
            return self.next_id
        number = self.rng.randrange(1, 10_000)
        if self.quirks.ids == "text":
            return "".join(self.rng.choice("aAbBzZ_1.9") for _ in range(3)) + str(number)
        return number

    def _write(self, key: Id) -> None:
        updated: int | None = self.now - self.now % self.quirks.tick
        if self.quirks.future and self.rng.random() < 0.1:
            ahead = self.now + self.rng.randrange(self.quirks.future)
            updated = ahead - ahead % self.quirks.tick
        if self.quirks.null_request and self.rng.random() < 0.15:
            updated = None
        delay = self.rng.randrange(self.quirks.late) if self.quirks.late else 0
        if key in self.rows and self.rows[key].visible <= self.now:
            self.before[key] = self.rows[key]
        elif key not in self.rows:
            self.before.pop(key, None)
        born = self.rows[key].born if key in self.rows else self.now + delay
        if key in self.rows:
            parent = self.rows[key].parent
        else:
            parent = self.rng.choice(list(self.parents)) if self.parents else 0
        self.rows[key] = Row(key, updated, self.rev, self.now + delay, born, parent)

    def settle(self) -> None:
        """Let every write become visible, and the current tick end."""
        self.now += max(self.quirks.late, 3000) + max(0, self.quirks.skew) + 2 * self.quirks.tick + 1000

    def truth(self) -> list[Row]:
        """Every record as it is."""
        return list(self.rows.values())

    def widest_tie(self) -> int:
        """How many records the filter can't tell apart, at most."""
        cut = max(self.quirks.precision, 1)
        ties = Counter((row.parent, self._cut(row.updated, cut)) for row in self.rows.values())
        return max(ties.values(), default=0)

    def answer(self, path: str, params: dict[str, str], known: str | None = None) -> Reply:
        """What the API answers now: on /list, /list/1, /parents, or /parents/1/list; 304 where its ETag is known."""
        if params.get("after") == "":
            return Reply(400, self._headers(), {"message": "after is empty"})
        reply = self._answer(path, params)
        if self.quirks.etag and reply.status == 200:
            tag = f'{"W/" if self.quirks.etag == "weak" else ""}"{zlib.crc32(repr(reply.body).encode())}"'
            reply.headers["ETag"] = tag
            if tag == known:
                return Reply(304, reply.headers, None)
        return reply

    def _answer(self, path: str, params: dict[str, str]) -> Reply:
        self.requests += 1
        params = {name: value for name, value in params.items() if name != self.quirks.ignored}
        if path.startswith("/list/"):
            return self._one(path.removeprefix("/list/"))
        quirks = self.quirks
        parent = int(path.split("/")[2]) if path.count("/") > 1 else 0
        if parent and (parent not in self.parents or self.parents[parent].visible > self.now):
            return Reply(404, self._headers(), {"message": "there is no such parent"})
        if path == "/parents":
            rows = [row for row in self.parents.values() if row.visible <= self.now]
        else:
            rows = [row for row in self.selected(params) if row.parent == parent]
        ordinal, start = 0, 0
        before: Place = ()
        if quirks.paginator == "page_number":
            ordinal = max(0, int(params.get("page", quirks.first)) - quirks.first)
            start = ordinal * quirks.page
        elif quirks.paginator == "offset":
            start = int(params.get("offset", 0))
        elif "token" in params:
            token = params["token"]
            if token not in self.issued or self._is_expired(token):
                return Reply(410, self._headers(), {"message": "the token has expired"})
            ordinal, start, before = self.issued[token]
            if quirks.stable:
                start = next((index for index, row in enumerate(rows) if self._place(path, row) > before), len(rows))
        if quirks.ends and self._parsed(params.get("until", written(quirks, self.now + 60_000))) > self.now:
            return Reply(400, self._headers(), {"message": "the end is missing, or to come"})
        if quirks.window and start + quirks.page > quirks.window:
            return Reply(400, self._headers(), {"message": "the result window is too large"})
        # One page that can't be gone on from holds all parents, or they couldn't be read.
        size = len(rows) if quirks.whole or (path == "/parents" and quirks.paginator == "single_page") else self._size()
        page = rows[start : start + size]
        behind = start + len(page)
        body: dict[str, Any] = {"data": self._listed(page, rows, start)}
        more = behind < len(rows)
        if quirks.tokens and more:
            place = self._place(path, page[-1]) if page else before
            body[quirks.renamed or "next"] = self._next(path, params, ordinal + 1, behind, place)
        if quirks.total and quirks.totals != "missing":
            body["total"] = self._total(len(rows), len(page))
        if quirks.has_more and quirks.flag != "missing":
            body["has_more"] = {"inverted": not more, "never": False, "always": True}.get(quirks.flag, more)
        return Reply(200, self._headers(), body)

    def _total(self, listed: int, here: int) -> int:
        counted = {"page": here, "short": max(0, listed - 1), "long": listed + self.quirks.page}
        number = counted.get(self.quirks.totals, listed)
        return -(-number // self.quirks.page) if self.quirks.paginator == "page_number" else number

    def _one(self, key: str) -> Reply:
        row = None if self.quirks.forgetful else self.rows.get(self._id(unquote(key)))
        seen = None if row is None else row if row.visible <= self.now else self.before.get(row.id)
        if seen is None:
            return Reply(404, self._headers(), {"message": "there is no such record"})
        return Reply(200, self._headers(), {"data": self.shown(seen)})

    def _headers(self) -> dict[str, str]:
        if not self.quirks.clock:
            return {}
        moment = EPOCH + timedelta(seconds=(self.now + self.quirks.skew) // 1000)
        return {"Date": format_datetime(moment, usegmt=True)}

    def _is_expired(self, token: str) -> bool:
        if not self.quirks.expiring or not self.busy:
            return False
        again = token in self.used
        self.used.add(token)
        return again or self.rng.random() < 0.1

    def _size(self) -> int:
        quirks = self.quirks
        size = quirks.page
        if not quirks.tokens:
            return max(1, size - 2) if quirks.short_pages and quirks.paginator == "offset" else size
        if quirks.short_pages and self.rng.random() < 0.3:
            size = self.rng.randrange(1, quirks.page + 1)
        if quirks.empty_pages and self.rng.random() < 0.2:
            size = 0
        return size

    def _listed(self, page: list[Row], rows: list[Row], start: int) -> list[dict[str, Any]]:
        listed = [self.shown(row) for row in page]
        if self.quirks.duplicates and listed and self.rng.random() < 0.3:
            index = self.rng.randrange(len(listed))
            listed.insert(index, listed[index])
        if self.quirks.overlap and start:
            listed.insert(0, self.shown(rows[start - 1]))
        return listed

    def _next(self, path: str, params: dict[str, str], ordinal: int, offset: int, place: Place) -> str:
        if self.quirks.cycle:
            # The circle doesn't close at the first page, which has no token, but at the one behind it.
            token = f"c{ordinal if ordinal < self.quirks.cycle else 1}"
            if ordinal < self.quirks.cycle:
                self.issued[token] = (ordinal, offset, place)
        else:
            token = f"t{len(self.issued)}"  # no two are alike, also where a page is empty
            self.issued[token] = (ordinal, offset, place)
        if self.quirks.paginator == "cursor":
            return token
        kept = "".join(f"{name}={value.replace('+', '%2B')}&" for name, value in params.items() if name != "token")
        return f"{path}?{kept}token={token}"

    def visible(self) -> list[Row]:
        """The records as anybody sees them now."""
        return [
            seen for key, row in self.rows.items() if (seen := row if row.visible <= self.now else self.before.get(key))
        ]

    def selected(self, params: dict[str, str]) -> Iterator[Row]:
        """The records that the request's filter lets through, in the list's order."""
        quirks = self.quirks
        visible = [row for row in self.visible() if not (quirks.omits and zlib.crc32(str(row.id).encode()) % 5 == 0)]
        if quirks.filter == "unique":
            visible.sort(key=lambda row: self.collated(row.id))
            after = params.get("after")
            yield from (
                row for row in visible if after is None or self.collated(row.id) > self.collated(self._id(after))
            )
            return
        visible.sort(key=self._key)
        if quirks.unstable_ties:
            drawn = {row.id: self.rng.random() for row in visible}
            visible.sort(key=lambda row: (self._key(row)[0] if quirks.order != "none" else 0, drawn[row.id]))
        since = self._parsed(params["since"]) + quirks.misread * 60_000 if "since" in params else None
        until = self._parsed(params["until"]) if "until" in params else None
        if until is not None and quirks.until_exclusive:
            until -= 1
        cut = quirks.precision
        for row in visible:
            if (
                quirks.null_request
                and ("nulls" in params or not quirks.nulls_told)
                and ("nulls" in params) != (row.updated is None)
            ):
                continue
            if until is not None and (row.updated is None or self._cut(row.updated, cut) > self._cut(until, cut)):
                continue
            if since is None or quirks.filter in {"none", "sweep", "traversal"}:
                yield row
            elif row.updated is None:
                continue
            elif quirks.filter == "compound":
                place = (self._cut(row.updated, cut), self._tie(row))
                if "after" not in params:
                    follows = place[0] > self._cut(since, cut)
                else:
                    tie = (int(params["after"]),) if quirks.tie != "id" else self.collated(self._id(params["after"]))
                    follows = place > (self._cut(since, cut), tie)
                if follows:
                    yield row
            else:
                here = self._cut(row.born if quirks.filters_by == "born" else row.updated, cut)
                if here > self._cut(since, cut) or (here == self._cut(since, cut) and quirks.filter == "inclusive"):
                    yield row

    def _cut(self, moment: int | None, cut: int) -> int:
        return -1 if moment is None else (moment + self.quirks.zone * 60_000) // cut

    def _id(self, text: str) -> Id:
        return text if self.quirks.ids == "text" else int(text)

    def collated(self, key: Id) -> Place:
        """The id's place among others: text has a collation of its own, in which punctuation counts last."""
        if isinstance(key, int):
            return (key,)
        return ("".join(letter for letter in key.lower() if letter.isalnum()), key.swapcase())

    def _tie(self, row: Row) -> Place:
        return self.collated(row.id) if self.quirks.tie == "id" else (self._rank(row),)

    def _rank(self, row: Row) -> int:
        assert isinstance(row.id, int)
        return row.id % 3 if self.quirks.tie == "shared" else row.id

    def shown_id(self, row: Row) -> Id:
        """The id that a record is shown with."""
        return row.id % 5 if self.quirks.same_ids and isinstance(row.id, int) else row.id

    def _place(self, path: str, row: Row) -> Place:
        return (row.id,) if path == "/parents" else self._key(row)

    def _key(self, row: Row) -> Place:
        collated = self.collated(row.id)
        if self.quirks.filter == "unique":
            return collated
        if self.quirks.order == "none" and self.quirks.hidden != "hash":
            return (row.rev if self.quirks.hidden == "oldest" else -row.rev, collated)
        if self.quirks.order == "none":
            return ((row.id * 7919) % 10_007 if isinstance(row.id, int) else 0, collated)
        if self.quirks.tie == "shared":
            collated = (*self._tie(row), *collated)
        untimed = 10**12 if self.quirks.nulls_turned else -1
        updated = untimed if row.updated is None else row.updated
        if self.quirks.order == "desc":
            # Tokens go on behind a place: of text, whatever its order, the same way down.
            return (-updated, tuple(-part for part in collated) if isinstance(row.id, int) else collated)
        return (updated, collated)

    def shown(self, row: Row) -> dict[str, Any]:
        """The record as the API writes it."""
        record = {
            "id": self.shown_id(row),
            "updated_at": None if row.updated is None else written(self.quirks, row.updated),
            "rev": row.rev,
        }
        return record if self.quirks.tie == "id" else record | {"rank": self._rank(row)}

    def _parsed(self, text: str) -> int:
        if self.quirks.epoch:
            number = float(text)
            return round(number * (1000 if self.quirks.epoch == "s" else 1)) - EPOCH_SECONDS * 1000
        if self.quirks.local or text[-6] not in "+-":
            body, zone = text.removesuffix("Z"), _offset(self.quirks.zone if self.quirks.local else 0)
        else:
            body, zone = text[:-6], text[-6:]
        whole, _, fraction = body.partition(".")
        moment = datetime.fromisoformat(whole + zone)
        return round((moment - EPOCH).total_seconds()) * 1000 + int(f"{fraction or '0':0<3}"[:3])


@functools.lru_cache(maxsize=65_536)
def written(quirks: Quirks, moment: int) -> Any:
    """A time as the API writes it."""
    moment -= moment % quirks.digits if quirks.digits else 0
    match quirks.writing:
        case "epoch_ms":
            return EPOCH_SECONDS * 1000 + moment
        case "text_ms":
            return str(EPOCH_SECONDS * 1000 + moment)
        case "epoch_s":
            return EPOCH_SECONDS + moment // 1000
    zone = timezone(timedelta(minutes=quirks.zone))
    text = (
        (EPOCH + timedelta(milliseconds=moment))
        .astimezone(zone)
        .replace(tzinfo=None)
        .isoformat(timespec="milliseconds")
    )
    if quirks.writing == "trimmed":
        text = text.rstrip("0").removesuffix(".") if "." in text else text
    elif (quirks.digits or quirks.tick) % 1000 == 0:
        text = text[: -len(".000")]
    if quirks.local:
        return text
    return text + (_offset(quirks.zone) if quirks.zone else "Z")


def _offset(zone: int) -> str:
    hours, minutes = divmod(abs(zone), 60)
    return f"{'+-'[zone < 0]}{hours:02}:{minutes:02}"
