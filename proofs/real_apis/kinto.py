"""Kinto, a JSON store with a REST API: an extraction's source that others wrote.

Facts found by trying 26.5.0 with its memory backend. Lists take `_sort`, `_limit` and filters such as
`min_last_modified` (inclusive). The header `Next-Page` holds the next page's address; its token consists of the sort
fields' values, so it names a position, but only `_sort=last_modified,id` names one within a tie: with the default
sort, records that share a time are lost where a page ends among them. `last_modified` is in milliseconds, set by the
server and then rising with each write, or given by the client. With a filter on it, deleted records are listed as
well, as `{"id", "last_modified", "deleted": true}`: so the first run must have a filter too, or what is deleted while
it lists would never be told. The history plugin keeps an entry a write, with the action and the object.
"""

from __future__ import annotations

import random
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import requests

from proofs.real_apis.campaign import Campaign, judged, played
from tests.support.environments import environment
from tests.support.ports import free_port
from tests.support.processes import server

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from proofs.real_apis.campaign import Outcome

RECORDS = 1000
LARGEST_TIE = 350
USER = ("reader", "reader")

CONFIGURATION = """
[server:main]
use = egg:waitress#main
host = 127.0.0.1
port = {port}
threads = 4

[app:main]
use = egg:kinto
kinto.storage_backend = kinto.core.storage.memory
kinto.permission_backend = kinto.core.permission.memory
kinto.cache_backend = kinto.core.cache.memory
kinto.userid_hmac_secret = of-a-test
kinto.includes = kinto.plugins.history
multiauth.policies = basicauth
kinto.bucket_create_principals = system.Authenticated
"""


def last_modified(number: int) -> int:
    """The time of a seeded record: one tie of 350, ties of four, and times of their own."""
    begin = 1_700_000_000_000
    if number < LARGEST_TIE:
        return begin + 500_000
    if number < LARGEST_TIE + 100:
        return begin + 900_000 + (number - LARGEST_TIE) // 4
    return begin + 1000 * number


class Collection(NamedTuple):
    """One collection of orders on a running Kinto."""

    url: str
    session: requests.Session

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> requests.Response:
        """One request, relative to the collection's records unless it is a whole address."""
        address = path if "://" in path else f"{self.url}/records{path}"
        answer = self.session.request(method, address, json=body, timeout=30)
        answer.raise_for_status()
        return answer

    def seed(self) -> None:
        """A thousand orders, of which one in forty is deleted again."""
        root, _, bucket = self.url.removesuffix("/collections/orders").rpartition("/buckets/")
        self.call("PUT", f"{root}/buckets/{bucket}", {})
        self.call("PUT", self.url, {})
        self.call("PUT", "/first", {"data": {"number": -1}})  # sets the clock, so that older times are taken as given
        path = self.url.removeprefix(root) + "/records"
        for first in range(0, RECORDS, 25):
            writes = [
                {"method": "PUT", "path": f"/v1{path}/{order_id(number)}", "body": {"data": order(number)}}
                for number in range(first, first + 25)
            ]
            answers = self.call("POST", f"{root}/batch", {"requests": writes}).json()["responses"]
            assert {answer["status"] for answer in answers} == {201}, answers
        self.call("DELETE", "/first")
        for number in range(0, RECORDS, 40):
            self.call("DELETE", f"/{order_id(number)}")

    def rows(self) -> list[dict[str, Any]]:
        """Every order as it is now. Ids are unique, so a listing in their order neither skips nor repeats."""
        found: list[dict[str, Any]] = []
        address: str | None = "?_sort=id"
        while address:
            answer = self.call("GET", address)
            found += answer.json()["data"]
            address = answer.headers.get("Next-Page")
        return found

    def mutations(self, seed: int) -> Generator[None]:
        """Writes without end: updates, inserts, deletes, and in one of ten updates a time of the largest tie."""
        chance = random.Random(seed)
        ids = [row["id"] for row in self.rows()]
        while True:
            kind = chance.random()
            if kind < 0.65:
                self.call("PATCH", f"/{chance.choice(ids)}", {"data": {"revision": chance.getrandbits(40)}})
            elif kind < 0.85:
                ids.append(f"new-{chance.getrandbits(48):012x}")
                self.call("PUT", f"/{ids[-1]}", {"data": {"number": chance.randrange(999), "revision": 0}})
            else:
                self.call("DELETE", f"/{ids.pop(chance.randrange(len(ids)))}")
            yield


def order(number: int) -> dict[str, Any]:
    """A seeded order; one in ten has a note."""
    note = {"note": "caf\u00e9 \u4e2d \U0001f600"} if number % 10 == 0 else {}
    return {"number": number, "revision": 0, "last_modified": last_modified(number), **note}


def order_id(number: int) -> str:
    """Ids in another order than times."""
    return f"{number * 6007 % 999_983:06d}-order"


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """A Kinto of its own: the address of its API."""
    binaries = environment("kinto", "kinto==26.5.0", "setuptools<81")
    port = free_port()
    (folder / "kinto.ini").write_text(CONFIGURATION.format(port=port))
    address = f"http://127.0.0.1:{port}/v1"
    with server([binaries / "pserve", folder / "kinto.ini"], f"{address}/", folder / "kinto.log"):
        yield address


def collection(address: str, name: str) -> Collection:
    """A collection of orders in a bucket of this name."""
    session = requests.Session()
    session.trust_env = False
    session.auth = USER
    return Collection(f"{address}/buckets/{name}/collections/orders", session)


def tap_configuration(orders: Collection) -> dict[str, Any]:
    """The facts above, in the tap's words: the orders by their time, and as their history tells them."""
    properties = {
        "id": {"type": "string"},
        "last_modified": {"type": "integer"},
        "number": {"type": ["integer", "null"]},
        "revision": {"type": ["integer", "null"]},
        "note": {"type": ["string", "null"]},
    }
    bucket = orders.url.removesuffix("/collections/orders")
    return {
        "base_url": orders.url,
        "auth": {"type": "http_basic"},
        "auth_username": USER[0],
        "auth_password": USER[1],
        "paginator": {"type": "header_link", "header": "Next-Page", "stable": True},
        "streams": [
            {
                "name": "orders",
                "path": "/records",
                "records": "data",
                "primary_key": ["id"],
                "deleted_path": "deleted",
                "incremental": {
                    "cursor_path": "last_modified",
                    "order": "asc",
                    "filter": "inclusive",
                    "epoch": "ms",
                    "initial_value": 0,
                },
                "params": {"_sort": "last_modified,id", "_limit": 25, "min_last_modified": "{cursor.last_modified}"},
                "schema": {"type": "object", "properties": properties},
            },
            {
                "name": "orders_by_history",
                "path": "/records",
                "records": "data",
                "primary_key": ["id"],
                "params": {"_sort": "id", "_limit": 25},
                "feed": {
                    "path": f"{bucket}/history",
                    "params": {
                        "_sort": "last_modified",
                        "_limit": 25,
                        "_since": "{cursor.last_modified}",
                        "resource_name": "record",
                        "collection_id": "orders",
                    },
                    "incremental": {"cursor_path": "last_modified", "filter": "exclusive"},
                    "paginator": {"type": "header_link", "header": "Next-Page", "stable": True},
                    "type_path": "action",
                    "types": ["create", "update", "delete"],
                    "deleted_types": ["delete"],
                    "object_path": "target.data",
                },
                "schema": {"type": "object", "properties": properties},
            },
        ],
    }


def campaign(address: str, folder: Path, seed: int) -> dict[str, Outcome]:
    """A seed's schedule against a collection of its own, by stream."""
    orders = collection(address, f"shop-{seed}")
    orders.seed()
    extraction = Campaign(folder, tap_configuration(orders), seed)
    writes = played(extraction, orders.mutations(seed), most_lines=1500)
    return {stream: judged(extraction, writes, orders.rows(), stream) for stream in ("orders", "orders_by_history")}
