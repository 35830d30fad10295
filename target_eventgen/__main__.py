"""`python -m target_eventgen` is `target-eventgen`."""

from __future__ import annotations

from target_eventgen.cli.main import main

if __name__ == "__main__":
    main()
