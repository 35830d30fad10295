"""Named points at which tests stop a run: to kill it there, to cut its connection, to stop its Postgres.

They are off unless the environment says otherwise, and cost a look at one name then. TARGET_EVENTGEN_FAILPOINT is
`name:count:path`: the count-th time that the point is reached, the file `path` is made, and the run waits until
somebody removes it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

AFTER_STAGING: Final = "after_staging"
AFTER_LOCK: Final = "after_lock"
AFTER_EVENTS: Final = "after_events"
BEFORE_COMMIT: Final = "before_commit"
BEFORE_STATE: Final = "before_state"
STATE_HALF_WRITTEN: Final = "state_half_written"
AFTER_PUBLISH: Final = "after_publish"  # reached by turns that publish something, as the next one is
BEFORE_MARKED: Final = "before_marked"

_SECONDS: Final = 0.002
"""Between two looks whether the file is gone."""


def _from_environment() -> Callable[[str], None] | None:
    setting = os.environ.get("TARGET_EVENTGEN_FAILPOINT")
    return gate(setting) if setting else None


def gate(setting: str) -> Callable[[str], None]:
    """Return what a setting asks for."""
    wanted, count, path = setting.split(":", 2)
    left = int(count)

    def wait(name: str) -> None:
        nonlocal left
        if name != wanted:
            return
        left -= 1
        if left == 0:
            file = Path(path)
            file.touch()
            while file.exists():
                time.sleep(_SECONDS)

    return wait


action: Callable[[str], None] | None = _from_environment()
"""What is done at each point; None where failpoints are off. Tests within this process set it."""


def reach(name: str) -> None:
    """Do at a point what the setting or a test asks for."""
    if action is not None:
        action(name)


def split(line: str) -> int:
    """Return after how many characters a line is to be cut in two: none unless failpoints are on."""
    return 0 if action is None else len(line) // 2
