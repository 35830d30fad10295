"""Runs one command and prints what it took, as JSON: wall clock, CPU seconds, peak memory in KiB, lines written, exit code.

A process of its own with next to nothing in it: Linux counts the memory of who starts a process into its peak.

    python -IS gauge.py COMMAND...        its standard input and errors are this one's; its output is read here
"""

import os
import sys
import time

CHUNK = 1 << 20

reader, writer = os.pipe()
begun = time.perf_counter()
child = os.posix_spawnp(
    sys.argv[1],
    sys.argv[1:],
    os.environ,
    file_actions=[(os.POSIX_SPAWN_DUP2, writer, 1), (os.POSIX_SPAWN_CLOSE, reader)],
)
os.close(writer)
lines = 0
while chunk := os.read(reader, CHUNK):
    lines += chunk.count(b"\n")
_, status, usage = os.wait4(child, 0)
wall = time.perf_counter() - begun
code = os.waitstatus_to_exitcode(status)
print(
    f'{{"wall": {wall}, "cpu": {usage.ru_utime + usage.ru_stime}, "peak": {usage.ru_maxrss}, "lines": {lines}, "code": {code}}}'
)
