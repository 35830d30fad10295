"""`python -m proofs.crash [CASES]`: see `campaign`."""

from __future__ import annotations

from proofs.crash.campaign import main

if __name__ == "__main__":
    main()
