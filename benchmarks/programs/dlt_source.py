"""dlt's rest_api source, read to its end; it runs in dlt's environment, with nothing of this project.

python dlt_source.py URL        the records are counted and dropped: nothing is normalised, written or loaded
"""

from __future__ import annotations

import sys

from dlt.sources.rest_api import rest_api_source

BASE, _, LIST = sys.argv[1].rpartition("/")
source = rest_api_source(
    {
        "client": {
            "base_url": BASE,
            "paginator": {"type": "cursor", "cursor_path": "next", "cursor_param": "cursor"},
        },
        "resources": [
            {"name": "subscriptions", "primary_key": "id", "endpoint": {"path": LIST, "data_selector": "data"}}
        ],
    }
)
print(sum(1 for _ in source.resources["subscriptions"]))
