"""Run one command and print what it took, as JSON.

That is: wall clock, CPU seconds, peak memory in KiB, RECORD lines, last words, exit code.

A process of its own with next to nothing in it: Linux counts the memory of who starts a process into its peak. Of a
shell that runs a pipe, the CPU seconds are of all of it, and the peak is that of the largest.

    python -IS gauge.py COMMAND...        its standard input and errors are this one's; its output is read here
"""

import os
import sys
import time

CHUNK = 1 << 20
SIGN = b'"RECORD"'
LAST = 200

reader, writer = os.pipe()
begun = time.perf_counter()
child = os.posix_spawnp(
    sys.argv[1],
    sys.argv[1:],
    os.environ,
    file_actions=[(os.POSIX_SPAWN_DUP2, writer, 1), (os.POSIX_SPAWN_CLOSE, reader)],
)
os.close(writer)
found = 0
rest = last = b""
while chunk := os.read(reader, CHUNK):
    found += chunk.count(SIGN) + (rest + chunk[: len(SIGN) - 1]).count(SIGN)
    rest = (rest + chunk[1 - len(SIGN) :])[1 - len(SIGN) :]  # one that lies in two chunks is counted with its end
    last = (last + chunk[-LAST:])[-LAST:]
_, status, usage = os.wait4(child, 0)
wall = time.perf_counter() - begun
code = os.waitstatus_to_exitcode(status)

import json  # noqa: E402  not before the child has started: see above

told = {"wall": wall, "cpu": usage.ru_utime + usage.ru_stime, "peak": usage.ru_maxrss, "records": found, "code": code}
print(json.dumps(told | {"last": last.decode(errors="replace")}))
