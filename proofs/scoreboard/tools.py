"""The tools on the board: how each is installed, started twice with its state between, and read.

A configuration is a YAML file a tool (`configurations/`): `base`, and below `cases` what a case changes in it;
mappings are merged key by key unless they differ in their `type`, all else replaces, and a null takes a key away.
`variants` change a case's configuration once more, where the tool has a setting that could heal what the first one
loses: the board shows both. A text below `cannot` says why a tool has no configuration for a case. API_URL stands for
the address of the case.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from proofs.scoreboard.model import DELETED, Version
from tests.support.environments import environment

HERE: Final = Path(__file__).parent
Config = dict[str, Any]


@dataclass(frozen=True)
class Emitted:
    """What a run wrote: (id, version) in its order.

    Attributes:
        replaces: these are the whole table, and what isn't among them is gone from the destination.
        state: what the next run is started with.
        error: the tool's own last words, where it has a place for them.
    """

    versions: tuple[Version, ...]
    replaces: bool = False
    state: Any = None
    error: str = ""


@dataclass(frozen=True)
class Tool:
    """One column of the board.

    Attributes:
        requirement: what pip installs; none for the tool of this project.
        command: the command line for a folder that holds config.json and, from the second run on, state.json.
        prepare: what to write into the folder before the first run, from the configuration.
        read: what a run's standard output says.
        scripts: what it runs of this folder.
    """

    name: str
    requirement: str | None
    configuration: str
    command: Callable[[Path, Path], list[str | Path]]
    prepare: Callable[[Path, Config], None]
    read: Callable[[Path], Emitted]
    scripts: tuple[str, ...] = ()

    def installed(self) -> Path:
        """The folder of its programs, made where it isn't yet."""
        if self.requirement is None:
            return Path(sys.executable).parent
        return environment(f"scoreboard-{self.name}", self.requirement)

    @property
    def files(self) -> tuple[str, ...]:
        """What says how it is used, below this folder."""
        return self.configuration, *self.scripts

    def described(self) -> Config:
        """Its configuration file."""
        described: Config = yaml.safe_load((HERE / self.configuration).read_text())
        return described

    def configurations(self, case: str) -> Iterator[tuple[str, Config]]:
        """Each configuration for a case, the first without a name; none where the tool can't have one."""
        described = self.described()
        if case in described.get("cannot", {}):
            return
        first = merged(described["base"], described["cases"].get(case) or {})
        yield "", first
        for name, changes in (described.get("variants", {}).get(case) or {}).items():
            yield name, merged(first, changes)


def merged(below: Any, above: Any) -> Any:
    """The one value with the other's changes."""
    if (
        not isinstance(below, Mapping)
        or not isinstance(above, Mapping)
        or above.get("type", below.get("type")) != below.get("type")
    ):
        return above
    changed = {key: merged(below.get(key), value) for key, value in above.items() if value is not None}
    return {**{key: value for key, value in below.items() if key not in above}, **changed}


def addressed(config: Any, url: str) -> Any:
    """The configuration with API_URL replaced."""
    return json.loads(json.dumps(config).replace("API_URL", url))


def quiet_environment(folder: Path) -> dict[str, str]:
    """This process's environment without proxies, with telemetry off, and with a home of the run's own."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy") and not name.startswith(("TAP_", "DLT_", "AIRBYTE_", "PYTHON"))
    }
    return {
        **kept,
        "HOME": str(folder),
        "DLT_DATA_DIR": str(folder / "dlt"),
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "RUNTIME__LOG_LEVEL": "CRITICAL",
        "DO_NOT_TRACK": "1",
        "PYTHONWARNINGS": "ignore",
        "NO_PROXY": "127.0.0.1",
    }


def _messages(output: Path) -> list[dict[str, Any]]:
    """The whole JSON lines of an output; a process that was killed may have left half of one."""
    messages = []
    for line in output.read_text().splitlines():
        try:
            message = json.loads(line)
        except ValueError:
            continue
        if isinstance(message, dict):
            messages.append(message)
    return messages


def _version(shown: Mapping[str, Any]) -> Version:
    if shown.get("_sdc_deleted_at"):
        return int(shown["id"]), DELETED
    return int(shown["id"]), int(shown["version"])


def _singer_output(output: Path) -> Emitted:
    messages = _messages(output)
    stream = {"items", "children"}
    versions = tuple(
        _version(message["record"])
        for message in messages
        if message.get("type") == "RECORD" and message["stream"] in stream
    )
    states = [message["value"] for message in messages if message.get("type") == "STATE"]
    replaces = any(message.get("type") == "ACTIVATE_VERSION" for message in messages)
    return Emitted(versions, replaces, states[-1] if states else None)


def _airbyte_output(output: Path) -> Emitted:
    messages = _messages(output)
    versions = tuple(
        _version(message["record"]["data"])
        for message in messages
        if message.get("type") == "RECORD" and message["record"]["stream"] in {"items", "children"}
    )
    states: dict[str, Any] = {}
    for message in messages:
        if message.get("type") == "STATE":
            state = message["state"]
            states[state["stream"]["stream_descriptor"]["name"]] = state
    errors = [
        message["trace"]["error"].get("internal_message") or message["trace"]["error"]["message"]
        for message in messages
        if message.get("type") == "TRACE" and message["trace"]["type"] == "ERROR"
    ]
    catalog = json.loads((output.parent / "catalog.json").read_text())
    replaces = any(stream["destination_sync_mode"] == "overwrite" for stream in catalog["streams"])
    return Emitted(versions, replaces, list(states.values()) or None, errors[0] if errors else "")


def _dlt_output(output: Path) -> Emitted:
    messages = _messages(output)
    versions = tuple(
        _version(message["record"]) for message in messages if message.get("table") in {"items", "children"}
    )
    return Emitted(versions, "replace" in (output.parent / "config.json").read_text())


def _written(folder: Path, config: Config) -> None:
    (folder / "config.json").write_text(json.dumps(config))


def _with_manifest(folder: Path, config: Config) -> None:
    """A manifest and the catalog that selects its streams; incremental ones append, others overwrite."""
    _written(folder, {"__injected_declarative_manifest": config})
    streams = []
    for stream in config["streams"]:
        incremental = "incremental_sync" in stream
        described: Config = {
            "name": stream["name"],
            "json_schema": stream["schema_loader"]["schema"],
            "supported_sync_modes": ["full_refresh", *(["incremental"] if incremental else [])],
            "source_defined_primary_key": [["id"]],
        }
        mode = "incremental" if incremental else "full_refresh"
        kept = "append" if incremental else "overwrite"
        streams.append({"stream": described, "sync_mode": mode, "destination_sync_mode": kept})
    (folder / "catalog.json").write_text(json.dumps({"streams": streams}))


def _state(folder: Path) -> list[str | Path]:
    """The arguments that bring the last run's state, where there was one."""
    state = folder / "state.json"
    return ["--state", state] if state.exists() else []


def _singer(program: str) -> Callable[[Path, Path], list[str | Path]]:
    def command(programs: Path, folder: Path) -> list[str | Path]:
        return [programs / program, "--config", folder / "config.json", *_state(folder)]

    return command


def _singer_sdk(programs: Path, folder: Path) -> list[str | Path]:
    script = HERE / "peers" / "singer_sdk_tap.py"
    return [programs / "python", script, "--config", folder / "config.json", *_state(folder)]


def _airbyte(programs: Path, folder: Path) -> list[str | Path]:
    arguments: list[str | Path] = ["--config", folder / "config.json", "--catalog", folder / "catalog.json"]
    return [programs / "source-declarative-manifest", "read", *arguments, *_state(folder)]


def _dlt(programs: Path, folder: Path) -> list[str | Path]:
    return [programs / "python", HERE / "peers" / "dlt_pipeline.py", folder / "config.json", folder / "pipelines"]


OURS: Final = Tool(
    "tap-restextract",
    None,
    "configurations/tap-restextract.yaml",
    _singer("tap-restextract"),
    _written,
    _singer_output,
)
PEERS: Final = (
    Tool("dlt", "dlt==1.31.0", "configurations/dlt.yaml", _dlt, _written, _dlt_output, ("peers/dlt_pipeline.py",)),
    Tool(
        "airbyte-cdk",
        "airbyte-cdk==7.39.1",
        "configurations/airbyte-cdk.yaml",
        _airbyte,
        _with_manifest,
        _airbyte_output,
    ),
    Tool(
        "singer-sdk",
        "singer-sdk==0.54.9",
        "configurations/singer-sdk.yaml",
        _singer_sdk,
        _written,
        _singer_output,
        ("peers/singer_sdk_tap.py",),
    ),
    Tool(
        "tap-rest-api-msdk",
        "tap-rest-api-msdk==1.4.2",
        "configurations/tap-rest-api-msdk.yaml",
        _singer("tap-rest-api-msdk"),
        _written,
        _singer_output,
    ),
)
TOOLS: Final = (OURS, *PEERS)
