"""`python -m proofs.webhooks [COUNT]`: see `chaos`."""

from __future__ import annotations

from proofs.webhooks.chaos import main

if __name__ == "__main__":
    raise SystemExit(main())
