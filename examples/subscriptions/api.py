#!/usr/bin/env python3
"""A small subscriptions API over SQLite: what `make demo` extracts from. Standard library only.

    python api.py --database subscriptions.db            # prints {"url": "http://127.0.0.1:8765/v1", …} once it is up

GET /health               {"status": "ok"}, without a token
GET /v1/subscriptions     {"data": [{…}, …]}, with `Authorization: Bearer TOKEN`; parameters:
    where   JSON: {"field": value}, {"field": {"$gt": value}} ($gt $gte $lt $lte $ne $in), {"$or": […]}, {"$and": […]}
    sort    field names separated by commas, each with `-` in front for descending; default id
    limit   1 to 1000 records; default 100

It has no pages on purpose: the next page is the question "what comes after (updated_at, id)?".
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from contextlib import closing
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import store

COMPARISONS = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<=", "$ne": "<>"}
EXAMPLE_TOKEN = "example-token"  # noqa: S105 the example's own, no secret
MOST = 1000


class BadRequestError(Exception):
    """The request's author must act; the text is the answer's message."""


class Sql(NamedTuple):
    """A piece of SQL and the values of its question marks."""

    text: str
    values: tuple[Any, ...]


def joined(word: str, parts: list[Sql]) -> Sql:
    """Join the parts with `word` between them; no parts at all is true."""
    text = f" {word} ".join(f"({part.text})" for part in parts) or "true"
    return Sql(text, tuple(value for part in parts for value in part.values))


def column(field: str) -> str:
    """Return the column of a field name; refuse every other name, so that no text of a request becomes SQL."""
    if field not in store.COLUMNS:
        raise BadRequestError(f"unknown field {field!r}; there are {', '.join(store.COLUMNS)}")
    return field


def comparison(field: str, operator: str, value: object) -> Sql:
    """One comparison of a field with a value, or with a list of values for `$in`."""
    if operator == "$in":
        if not isinstance(value, list):
            raise BadRequestError(f"$in of {field} needs a list")
        return Sql(f"{column(field)} in ({', '.join('?' * len(value))})", tuple(value))
    if operator not in COMPARISONS:
        raise BadRequestError(f"unknown operator {operator!r}; there are {', '.join((*COMPARISONS, '$in'))}")
    return Sql(f"{column(field)} {COMPARISONS[operator]} ?", (value,))


def condition(where: object) -> Sql:
    """Return the SQL of a `where` document, whose entries are joined by and."""
    if not isinstance(where, dict):
        raise BadRequestError("where must be a JSON object")
    parts: list[Sql] = []
    for name, value in where.items():
        if name in {"$or", "$and"}:
            if not isinstance(value, list):
                raise BadRequestError(f"{name} needs a list")
            parts.append(joined(name[1:], [condition(item) for item in value]))
        elif isinstance(value, dict):
            parts.extend(comparison(name, operator, operand) for operator, operand in value.items())
        else:
            parts.append(Sql(f"{column(name)} = ?", (value,)))
    return joined("and", parts)


def order(sort: str) -> str:
    """Return the ORDER BY list of a `sort` parameter."""
    return ", ".join(
        f"{column(name.lstrip('-'))} {'desc' if name.startswith('-') else 'asc'}" for name in sort.split(",")
    )


def query(parameters: dict[str, str]) -> Sql:
    """Return the SELECT that a request's parameters ask for."""
    if unknown := parameters.keys() - {"where", "sort", "limit"}:
        raise BadRequestError(f"unknown parameter {min(unknown)!r}; there are where, sort, limit")
    try:
        where = condition(json.loads(parameters.get("where", "{}")))
        limit = int(parameters.get("limit", "100"))
    except ValueError as error:
        raise BadRequestError("where must be JSON and limit a number") from error
    if not 1 <= limit <= MOST:
        raise BadRequestError(f"limit must be between 1 and {MOST}")
    columns = ", ".join(store.COLUMNS)
    text = (
        f"select {columns} from subscriptions where {where.text} order by {order(parameters.get('sort', 'id'))} limit ?"  # noqa: S608 column() admits known names only
    )
    return Sql(text, (*where.values, limit))


class Server(ThreadingHTTPServer):
    """The server with what its requests need: the SQLite file, the token, and how long each answer is held back."""

    daemon_threads = True

    def __init__(self, port: int, file: Path, token: str, delay: float) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.file, self.token, self.delay = file, token, delay


class Handler(BaseHTTPRequestHandler):
    """One request; each opens the file anew and so sees whatever other processes have committed."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body leave in one piece, or each answer would wait for the client's delayed ACK
    server: Server

    def do_GET(self) -> None:
        """Answers with JSON, also when the request is at fault."""
        address = urlsplit(self.path)
        if address.path == "/health":
            self.answer(HTTPStatus.OK, {"status": "ok"})
        elif self.headers.get("Authorization") != f"Bearer {self.server.token}":
            self.fail(HTTPStatus.UNAUTHORIZED, "a valid bearer token is needed in the Authorization header")
        elif address.path != "/v1/subscriptions":
            self.fail(HTTPStatus.NOT_FOUND, "there is only /v1/subscriptions")
        else:
            time.sleep(self.server.delay)
            self.subscriptions({name: values[-1] for name, values in parse_qs(address.query).items()})

    def subscriptions(self, parameters: dict[str, str]) -> None:
        """Answer the list of subscriptions that the parameters ask for."""
        try:
            select = query(parameters)
        except BadRequestError as error:
            self.fail(HTTPStatus.BAD_REQUEST, str(error))
            return
        with closing(store.connect(self.server.file)) as connection:
            rows = [dict(row) for row in connection.execute(select.text, select.values)]
        self.answer(HTTPStatus.OK, {"data": rows})

    def fail(self, status: HTTPStatus, message: str) -> None:
        """Answer an error as JSON."""
        self.answer(status, {"error": {"status": status.value, "message": message}})

    def answer(self, status: HTTPStatus, document: object) -> None:
        """Send a whole JSON answer, with the server's `Date`."""
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    """Serve until the process is ended; with --until-stdin-closes also when the process that started it is gone."""
    parser = argparse.ArgumentParser(description="A small subscriptions API over SQLite.")
    parser.add_argument("--database", type=Path, required=True, help="SQLite file; made and seeded when it isn't there")
    parser.add_argument("--port", type=int, default=8765, help="0 takes a free one; default 8765")
    parser.add_argument("--token", default=os.environ.get("SUBSCRIPTIONS_TOKEN", EXAMPLE_TOKEN), help="bearer token")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds that each list request is held back")
    parser.add_argument("--until-stdin-closes", action="store_true", help="end when standard input does")
    arguments = parser.parse_args()

    if not arguments.database.exists():
        store.create(arguments.database)
    server = Server(arguments.port, arguments.database, arguments.token, arguments.delay)
    if arguments.until_stdin_closes:

        def wait_for_the_end() -> None:
            sys.stdin.buffer.read()
            server.shutdown()

        threading.Thread(target=wait_for_the_end, daemon=True).start()
    print(json.dumps({"url": f"http://127.0.0.1:{server.server_port}/v1", "pid": os.getpid()}), flush=True)
    try:
        server.serve_forever(poll_interval=0.1)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)


if __name__ == "__main__":
    main()
