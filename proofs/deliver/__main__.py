"""`make deliver N=…`: every receiver, N events each, while relays, brokers and connections are killed and held.

Then come receivers that are slow or away, by a held clock (`--only slow` for them alone).
"""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from proofs.deliver import chaos, slow
from target_eventgen import embedded
from tests.support.queries import execute
from tests.support.rigs import CHAOS


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("events", type=int, nargs="?", default=5000)
    parser.add_argument("--rounds", type=int, default=1, help="how often each trouble comes")
    parser.add_argument("--only", help="receivers whose names hold this, in small letters")
    given = parser.parse_args()
    verdicts = []
    right = True
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        postgres = Path(folder) / "postgres"
        url = embedded.up(postgres)
        try:
            for kind in CHAOS:
                if given.only and given.only not in kind.name.lower():
                    continue
                name = f"chaos_{secrets.token_hex(4)}"
                execute(url, f"create database {name}")
                place = Path(folder) / name
                place.mkdir()
                with kind() as rig:
                    database = urlsplit(url)._replace(path=f"/{name}").geturl()
                    verdict = chaos.run(rig, database, place, given.events, given.rounds)
                if not verdict.is_right(deduplicates=kind.deduplicates):
                    right = False
                    sys.stderr.write((place / "relays.log").read_text()[-3000:])
                verdicts.append(verdict)
                sys.stderr.write(chaos.table([verdict]).splitlines()[-1] + "\n")
            patient = slowly(url) if not given.only or given.only in "slow" else []
        finally:
            embedded.remove(postgres)
    sys.stdout.write(chaos.table(verdicts) + "\n" + slow.table(patient) + "\n")
    return 0 if right and all(verdict.is_right for verdict in patient) else 1


def slowly(url: str) -> list[slow.Verdict]:
    """Play each case of a receiver that is slow or away, in a database of its own."""
    verdicts = []
    for case in slow.CASES:
        name = f"slow_{secrets.token_hex(4)}"
        execute(url, f"create database {name}")
        verdicts.append(slow.play(case, urlsplit(url)._replace(path=f"/{name}").geturl()))
        sys.stderr.write(slow.table(verdicts[-1:]).splitlines()[-1] + "\n")
    return verdicts


if __name__ == "__main__":
    sys.exit(main())
