"""What differs from run to run is replaced by a marker; all else must stay as it is.

<now>       an instant from 2025 on: of the run itself. All test data is of 2021
<id>        32 or more hexadecimal digits that are drawn at random: what names a hash cache, a queue
<folder>    the test's own folder
<database>  the URL of the test's own database; <name> is the database's name alone
<port>      a port on 127.0.0.1
<version>   of this distribution, and of singer-sdk
"""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path
from urllib.parse import urlsplit

_NOW = re.compile(r"20(?:2[5-9]|[3-9]\d)-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d(?::?\d\d)?)?")
_ID = re.compile(r"\b[0-9a-f]{32}\b")
_EVENT = re.compile(r"\b[0-9a-f]{64}\b")
_PORT = re.compile(r"127\.0\.0\.1(:|%3A| port |, port )\d+")
_PASSWORD = re.compile(r"(postgresql://[^:@/\s]*):[^@/\s]*@")


def normal(text: str, *, folder: Path | None = None, database: str | None = None) -> str:
    """The text with a marker for each thing that differs from run to run."""
    if database is not None:
        text = text.replace(database, "<database>").replace(urlsplit(database).path[1:], "<name>")
    if folder is not None:
        text = text.replace(str(folder), "<folder>")
    text = _NOW.sub("<now>", text)
    text = _EVENT.sub("<event>", _ID.sub("<id>", text))
    text = _PASSWORD.sub(r"\1@", text)
    return _PORT.sub(r"127.0.0.1\1<port>", text)


def without_versions(text: str) -> str:
    """The text with markers for the versions of this distribution and of singer-sdk."""
    for name in ("tap-restextract", "singer-sdk"):
        text = text.replace(importlib.metadata.version(name), "<version>")
    return text
