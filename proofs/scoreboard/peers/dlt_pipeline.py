"""A pipeline from dlt's rest_api source to standard output; it runs in dlt's environment, with nothing of this project.

python dlt_pipeline.py CONFIG FOLDER        the source's configuration as JSON; the folder keeps the pipeline's state
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import dlt
from dlt.sources.rest_api import rest_api_source


def written(items: Any, table: Any) -> None:
    """A destination that prints each record as a line."""
    for item in items:
        sys.stdout.write(json.dumps({"table": table["name"], "record": item}, default=str) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Run the pipeline once."""
    config, folder = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    destination = dlt.destination(written, batch_size=100, name="printed", skip_dlt_columns_and_tables=True)
    pipeline = dlt.pipeline("scoreboard", destination=destination, pipelines_dir=str(folder), dataset_name="scoreboard")
    pipeline.run(rest_api_source(config, name="api"))


main()
