"""Ports of 127.0.0.1 that stay a test's own, though nobody listens on them yet, or nobody for a while."""

from __future__ import annotations

import atexit
import socket
from collections import deque
from typing import Final

MOST: Final = 64
"""How many are kept; a process has only so many files."""

_KEPT: Final[deque[socket.socket]] = deque()


def free_port() -> int:
    """Return a port that nobody listens on, and that nobody gets who asks for any port.

    It is bound, but not listened on: a connection to it is refused, and a server that binds it by its number, with
    SO_REUSEADDR as servers do, has it. So a server that isn't up yet, or that was killed and is to come back in the
    same place, never finds another one there.
    """
    keeper = socket.socket()
    keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    keeper.bind(("127.0.0.1", 0))
    _KEPT.append(keeper)
    if len(_KEPT) > MOST:
        _KEPT.popleft().close()
    return int(keeper.getsockname()[1])


@atexit.register
def _release() -> None:
    while _KEPT:
        _KEPT.pop().close()
