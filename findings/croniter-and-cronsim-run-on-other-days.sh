#!/usr/bin/env bash
# What one expects: one line of cron means one set of days. crontab(5): where both days are restricted, that is, do not start
# with "*", either may match; "0 0 */2 * 1" has a day of the month that starts with one, so both must: Mondays on odd days.
# What happens where two meet (croniter 7.0.0, cronsim 2.8, cron-converter 2.0.2): cronsim does as cron does, twice in March
# 2024; croniter runs on every odd day and on every Monday, eighteen times. Written as "1-31/2" instead of "*/2", cronsim
# joins croniter, and cron-converter alone keeps to the two days. croniter has an option for it, implement_cron_bug, off by
# default.
# Whom it hurts: schedules that are written for cron and run by an orchestrator with croniter (Airflow, and Meltano schedules
# through it), and monitors that ask another library when a run was due.
# What to do: restrict one of the two fields only, and test the weekday in the command.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'croniter==7.0.0' 'cronsim==2.8' 'cron-converter==2.0.2'
cd "$folder"
venv/bin/python - <<'PY'
import datetime
import importlib.metadata
import itertools
import sys

from cron_converter import Cron
from croniter import croniter
from cronsim import CronSim

START = datetime.datetime(2024, 2, 29, 12)  # March 2024 begins on a Friday


def march(times):
    """Return the days of March among these times."""
    return [time.day for time in itertools.takewhile(lambda time: time.month == 3, times)]


def days(line):
    """Return each library's days for a line of cron."""
    converted = Cron(line).schedule(START)
    return {
        "croniter": march(croniter(line, START).all_next(datetime.datetime)),
        "cronsim": march(CronSim(line, START)),
        "cron-converter": march(iter(converted.next, None)),
    }


ODD_OR_MONDAY = [day for day in range(1, 32) if day % 2 or day % 7 == 4]
ODD_MONDAYS = [11, 25]
for package in ("croniter", "cronsim", "cron-converter"):
    print(package, importlib.metadata.version(package))
star, range_ = days("0 0 */2 * 1"), days("0 0 1-31/2 * 1")
for line, found in (("0 0 */2 * 1", star), ("0 0 1-31/2 * 1", range_)):
    for package, of_march in found.items():
        print(f"{line:15} {package:15} {len(of_march):2} days of March 2024: {of_march}")
if star != {"croniter": ODD_OR_MONDAY, "cronsim": ODD_MONDAYS, "cron-converter": ODD_MONDAYS}:
    sys.exit("Changed: the libraries' days for */2 and a weekday are no longer those.")
if range_ != {"croniter": ODD_OR_MONDAY, "cronsim": ODD_OR_MONDAY, "cron-converter": ODD_MONDAYS}:
    sys.exit("Changed: the libraries' days for 1-31/2 and a weekday are no longer those.")
PY
