"""The tap: configuration in, streams out."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, ClassVar

from singer_sdk import Tap
from singer_sdk.exceptions import SchemaNotFoundError, SchemaNotValidError, UnsupportedOpenAPISpec
from singer_sdk.schema.source import OpenAPISchema

from tap_restextract import settings
from tap_restextract.client import Client
from tap_restextract.errors import ConfigurationError, StateError
from tap_restextract.plan import Plan, plan_for
from tap_restextract.schema import completed, inferred
from tap_restextract.steps import Ask
from tap_restextract.stream import RestStream
from tap_restextract.tokens import TokenKeeper

if TYPE_CHECKING:
    from types import FrameType

    from tap_restextract.settings import StreamSettings


class TapRestextract(Tap):
    """Extracts records from any REST API, described in configuration, with no holes."""

    name = "tap-restextract"
    package_name = "tap-restextract"
    config_jsonschema: ClassVar[dict[str, Any]] = settings.json_schema()
    _read: tuple[StreamSettings, ...] = ()

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        """Read the configuration; our own reader names every fault at once, with its remedy."""
        del raise_errors
        self.append_builtin_config(self.config_jsonschema)
        foreign = set(self.config_jsonschema["properties"]) - set(settings.json_schema()["properties"])
        self._read = settings.read(self.config, foreign=foreign)
        self._keeper = TokenKeeper()
        return []

    def discover_streams(self) -> Sequence[RestStream]:
        """Every configured stream, with its plan and schema.

        Raises:
            ConfigurationError: with the faults of all streams' facts at once.
        """
        plans = self.plans()
        return [RestStream(self, plan, self._schema(plan), self._client) for plan in plans]

    def plans(self) -> list[Plan]:
        """Every stream's plan.

        Raises:
            ConfigurationError: with the faults of all streams' facts at once.
        """
        faults: list[str] = []
        plans = []
        for stream in self._read:
            try:
                plans.append(plan_for(stream, stream.schema if isinstance(stream.schema, dict) else None))
            except ConfigurationError as error:
                faults += error.faults
        if faults:
            raise ConfigurationError(faults)
        return plans

    def load_state(self, state: dict[str, Any]) -> None:
        """Take the STATE of an earlier run.

        Raises:
            StateError: where it has not the form of Singer bookmarks.
        """
        bookmarks = dict(state).get("bookmarks", {})
        if not isinstance(bookmarks, Mapping) or not all(
            isinstance(bookmark, Mapping) for bookmark in bookmarks.values()
        ):
            raise StateError(
                'the STATE is not of the form {"bookmarks": {"stream": {…}}}; restore it, or start without one'
            )
        super().load_state(state)

    def _client(self, plan: Plan) -> Client:
        return Client(plan.stream, self._keeper, self.logger, self.plugin_version)

    def _schema(self, plan: Plan) -> dict[str, Any]:
        declared = plan.stream.schema
        entry = self.input_catalog.get_stream(plan.stream.name) if self.input_catalog else None
        if isinstance(declared, str):
            schema = self._component(plan.stream, declared)
        elif declared is not None:
            schema = declared
        elif entry is not None:
            schema = entry.schema.to_dict()
        else:
            schema = self._sampled(plan)
        return completed(schema, plan)

    def _component(self, stream: StreamSettings, name: str) -> dict[str, Any]:
        place = f"stream {stream.name}: the component {name!r} of the OpenAPI document {stream.openapi}"
        try:
            return OpenAPISchema[str](stream.openapi or "").get_schema(name, key_properties=stream.primary_key)
        except (SchemaNotFoundError, SchemaNotValidError, UnsupportedOpenAPISpec) as error:
            cause = error.__cause__ or error
            raise ConfigurationError(
                [f"{place} can't be read ({type(cause).__name__}); check `openapi` and the name"]
            ) from error

    def _sampled(self, plan: Plan) -> dict[str, Any]:
        with closing(self._client(plan)) as client:
            records = client.page(Ask()).records
        if not records:
            raise ConfigurationError(
                [f"stream {plan.stream.name}: the API answered no record to infer a schema from; declare `schema`"]
            )
        self.logger.info("stream %s: schema inferred from a sample of %d records", plan.stream.name, len(records))
        return inferred(records)

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        """End at once: the last STATE on stdout is true whatever moment this is, so none is added."""
        del frame
        self.logger.info("ended by signal %d; the next run goes on from the last STATE", signum)
        sys.exit(128 + signum)
