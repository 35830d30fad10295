"""`python -m proofs.histories [COUNT]`: see `campaign`."""

from __future__ import annotations

from proofs.histories.campaign import main

if __name__ == "__main__":
    main()
