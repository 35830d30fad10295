"""The tap: configuration in, streams out."""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import click
from jsonschema.exceptions import SchemaError
from singer_sdk import Tap
from singer_sdk.configuration._dict_config import parse_environment_config
from singer_sdk.exceptions import SchemaNotFoundError, SchemaNotValidError, UnsupportedOpenAPISpec
from singer_sdk.helpers._classproperty import classproperty
from singer_sdk.plugin_base import JSONSchemaValidator, _ConfigInput
from singer_sdk.schema.source import OpenAPISchema
from singer_sdk.typing import DEFAULT_JSONSCHEMA_VALIDATOR

from tap_restextract.config.json_schema import json_schema
from tap_restextract.config.reading import read_settings, webhooks_in
from tap_restextract.errors import AnswerError, ConfigurationError, StateError
from tap_restextract.exchange.records import missing_key_text
from tap_restextract.http.client import Client
from tap_restextract.http.pacing import Pacers
from tap_restextract.http.tokens import TokenKeeper
from tap_restextract.plan.plan import Plan, plans_for
from tap_restextract.singer.batches import faults_in
from tap_restextract.singer.sampling import Described, Sample, sampled
from tap_restextract.singer.schema import completed, inferred, is_open, is_whole, keys_of, laid_over, without_records
from tap_restextract.singer.stdout import StateLines, WholeLines, unbroken
from tap_restextract.singer.stream import RestStream, reader_of
from tap_restextract.values.rows import Reader, column
from tap_restextract.values.spelling import hint
from tap_restextract.walks.steps import Record

if TYPE_CHECKING:
    from types import FrameType

    from tap_restextract.config.streams import StreamSettings

SCHEMA: Final = json_schema()
OWN: Final = frozenset(SCHEMA["properties"])  # before singer-sdk adds its settings to them


class TapRestextract(Tap):
    """Extracts records from any REST API, described in configuration, with no holes."""

    name = "tap-restextract"
    package_name = "tap-restextract"
    config_jsonschema: ClassVar[dict[str, Any]] = SCHEMA
    message_writer_class = WholeLines
    _stream_settings: tuple[StreamSettings, ...] = ()

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if isinstance(self.message_writer, WholeLines):
            self._state_writer = StateLines(self.message_writer)

    @classmethod
    def cb_config(cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]) -> _ConfigInput:
        """Return the configuration in the files that the command line names."""
        del ctx, param
        return config_in(value)

    @classmethod
    def cb_discover(cls, ctx: click.Context, param: click.Option, value: bool) -> None:  # noqa: FBT001  click's form
        """Write the catalog, and close what the options before it opened, whatever the end: no command has begun."""
        try:
            super().cb_discover(ctx, param, value)
        except BaseException:
            ctx.close()
            raise

    @classmethod
    def cb_test(cls, ctx: click.Context, param: click.Option, value: str) -> None:
        """Test the connection, and close what the options before it opened, whatever the end."""
        try:
            super().cb_test(ctx, param, value)
        except BaseException:
            ctx.close()
            raise

    @classmethod
    def invoke(  # type: ignore[override]  # singer-sdk's own taps narrow their root's arguments too
        cls,
        *,
        about: bool = False,
        about_format: str | None = None,
        config: _ConfigInput | None = None,
        state: io.TextIOWrapper | None = None,
        catalog: io.TextIOWrapper | None = None,
    ) -> None:
        """Extract, after the files of the command line were checked."""
        state_bytes, catalog_bytes = (None if file is None else bytes(file.buffer.read()) for file in (state, catalog))
        if state is not None and state_bytes is not None:
            state_in(state_bytes, state.name)
        if catalog is not None and catalog_bytes is not None:
            _check_catalog(catalog_bytes, catalog.name)
        super().invoke(
            about=about,
            about_format=about_format,
            config=config,
            state=None if state_bytes is None else io.StringIO(state_bytes.decode()),
            catalog=None if catalog_bytes is None else io.StringIO(catalog_bytes.decode()),
        )

    @classproperty
    def _env_var_config(cls) -> dict[str, Any]:  # noqa: N805  a classproperty's argument is the class
        """Return the configuration in environment variables, each checked for the form that its setting needs."""
        cls.append_builtin_config(cls.config_jsonschema)
        # singer-sdk looks for a type in each branch of an anyOf, and ours are references: the type beside it is enough.
        schema = {
            "properties": {
                name: {key: value for key, value in described.items() if key != "anyOf" or "type" not in described}
                for name, described in cls.config_jsonschema["properties"].items()
            }
        }
        try:
            return parse_environment_config(schema, cls._env_var_prefix)
        except ValueError:
            faults = []
            for name, described in schema["properties"].items():
                try:
                    parse_environment_config({"properties": {name: described}}, cls._env_var_prefix)
                except ValueError:
                    variable = f"{cls._env_var_prefix}{name.upper()}"
                    faults.append(f"the variable {variable} is not of the setting's form: JSON, or a whole number")
            raise ConfigurationError(faults) from None

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        """Read the configuration; our own reader names every fault at once, with its remedy."""
        del raise_errors
        self.append_builtin_config(self.config_jsonschema)
        foreign = self.config_jsonschema["properties"].keys() - OWN
        self._stream_settings = read_settings(self.config, foreign=foreign)
        sdk_schema = {"properties": {name: self.config_jsonschema["properties"][name] for name in foreign}}
        try:
            errors = [*JSONSchemaValidator(sdk_schema).iter_errors(dict(self.config))]
        except AttributeError as error:  # singer-sdk's schema of __else__ holds a text where a schema belongs
            raise ConfigurationError(["config.stream_maps: __else__ is null or __NULL__, and nothing else"]) from error
        if errors:
            raise ConfigurationError([f"config.{'.'.join(map(str, error.path))}: {error.message}" for error in errors])
        if self.config.get("batch_config") and (faults := faults_in(self.config["batch_config"])):
            raise ConfigurationError(faults)
        self._keeper, self._pacers = TokenKeeper(), Pacers()
        self._sampled: dict[str, Sequence[Record]] = {}
        return []

    def discover_streams(self) -> Sequence[RestStream]:
        """Return every configured stream, with its plan and schema.

        Raises:
            ConfigurationError: with the faults of all streams' facts at once.
        """
        plans = {plan.stream.name: plan for plan in self.plans()}
        return [self._stream(plan, plans.get(plan.parent or "")) for plan in plans.values()]

    def _stream(self, plan: Plan, parents: Plan | None) -> RestStream:
        described = self._described(plan, parents)
        if plan.stream.source == "webhooks":
            from tap_restextract.webhooks.stream import WebhookStream  # noqa: PLC0415  a part that few configurations need

            return WebhookStream(self, plan, described, self._client, webhooks_in(self.config))
        return RestStream(self, plan, described, self._client, parents)

    def plans(self) -> list[Plan]:
        """Return every stream's plan.

        Raises:
            ConfigurationError: with the faults of all streams' facts at once.
        """
        for stream in self._stream_settings:
            if isinstance(stream.schema, dict):
                _check_schema(stream.name, stream.schema)
        return plans_for(self._stream_settings)

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

    def _client(self, plan: Plan, reader: Reader | None = None) -> Client:
        return Client(plan.stream, self._keeper, self.logger, self.plugin_version, self._pacers, reader=reader)

    def _described(self, plan: Plan, parents: Plan | None) -> Described:
        """Return the stream's schema: declared, catalogued, inferred from a sample, or one laid over another."""
        declared = plan.stream.schema
        if isinstance(declared, str):
            declared = self._component(plan.stream, declared)
        if declared is not None:
            _check_schema(plan.stream.name, declared)
            if isinstance(plan.stream.schema, str) or is_whole(declared, plan):
                return Described(completed(declared, plan, parents))
        entry = self.input_catalog.get_stream(plan.stream.name) if self.input_catalog else None
        sample = None
        if entry is not None:
            schema = entry.schema.to_dict()
        else:
            sample = sampled(plan, parents, self._client, reader_of(plan, parents), self._sampled)
            schema = self._inferred(plan, sample)
        pinned = frozenset(declared["properties"] if declared else ())
        schema = laid_over(schema, declared) if declared else schema
        _check_schema(plan.stream.name, schema)
        kept = sample.kept if sample else None
        return Described(
            completed(schema, plan, parents), pinned, follows=True, adds=is_open(schema) or entry is None, kept=kept
        )

    def _inferred(self, plan: Plan, sample: Sample) -> dict[str, Any]:
        if not sample.records:
            self.logger.warning(
                "stream %s: the API answered no record to infer a schema from; its SCHEMA comes with the first record",
                plan.stream.name,
            )
            return without_records(plan)
        self.logger.info(
            "stream %s: schema inferred from a sample of %d records", plan.stream.name, len(sample.records)
        )
        for key in plan.stream.primary_key:
            if None in column(sample.records, key) and (told := missing_key_text(plan.stream, key, sample.records)):
                raise AnswerError(
                    f"stream {plan.stream.name}: a record has no {key}, which is in its primary_key; {told}"
                )
        return inferred(sample.records, keys_of(plan) | frozenset(filter(None, [plan.replication_key])))

    def _component(self, stream: StreamSettings, name: str) -> dict[str, Any]:
        location = f"stream {stream.name}: the component {name!r} of the OpenAPI document {stream.openapi}"
        document = OpenAPISchema[str](stream.openapi or "")
        try:
            return document.get_schema(name, key_properties=stream.primary_key)
        except (SchemaNotFoundError, SchemaNotValidError, UnsupportedOpenAPISpec) as error:
            names = _component_names(document)
            if names and name not in names:
                raise ConfigurationError([f"{location} is not in it{hint(name, names)}"]) from error
            cause = error.__cause__ or error
            raise ConfigurationError(
                [f"{location} can't be read ({type(cause).__name__}); check `openapi` and the name"]
            ) from error

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        """End with the line being written: the last STATE on stdout is true at every moment, so none is added."""
        del frame
        self.logger.info("ended by signal %d; the next run goes on from the last STATE", signum)
        unbroken.end(128 + signum)


def _component_names(document: OpenAPISchema[str]) -> list[str]:
    """Return the names of a document's components; none where it can't be read."""
    try:
        components = document.spec.get("definitions") or document.spec["components"]["schemas"]
        return [str(name) for name in components]
    except Exception:  # noqa: BLE001  whatever a document holds: that it can't be read is reported already
        return []


@functools.lru_cache(maxsize=1024)
def _check_json_schema(schema: str) -> None:
    """Check a schema, once for equal schemas: the check takes longer than a page."""
    DEFAULT_JSONSCHEMA_VALIDATOR.check_schema(json.loads(schema))


def _check_schema(stream: str, schema: dict[str, Any]) -> None:
    try:
        _check_json_schema(json.dumps(schema, default=float))
    except SchemaError as error:
        location = ".".join(map(str, error.path)) or "its top"
        raise ConfigurationError(
            [f"stream {stream}: the schema is not valid at {location}: {error.message}"]
        ) from error


def config_in(paths: Sequence[str]) -> _ConfigInput:
    """Return the configuration in files, later ones' keys over earlier ones'; the path ENV stands for the environment.

    Raises:
        ConfigurationError: where a file can't be read, or holds no JSON object.
    """
    config: dict[str, Any] = {}
    faults = []
    for path in paths:
        if path == "ENV":
            continue
        try:
            config |= _object_in(Path(path).read_bytes(), f"the configuration {path}", parse_float=float)
        except OSError as error:
            faults.append(f"the configuration {path} can't be read ({error.strerror}); check --config")
        except ValueError as error:
            faults.append(str(error))
    if faults:
        raise ConfigurationError(faults)
    return _ConfigInput(config=config, parse_env="ENV" in paths)


def state_in(content: bytes, location: str) -> dict[str, Any]:
    """Return the STATE in a file.

    Raises:
        StateError: where it is not a JSON object, or no STATE of a tap: it would mean a full backfill, and nobody said
            so.
    """
    try:
        state = _object_in(content, f"the STATE in {location}")
    except ValueError as error:
        raise StateError(f"{error}; restore it, or start without one for a full backfill") from error
    if "bookmarks" not in state and isinstance(state.get("value"), Mapping):
        raise StateError(f"the STATE in {location} is a whole message; keep what stands under its key `value` alone")
    if "bookmarks" not in state and isinstance(state.get("singer_state"), Mapping):
        raise StateError(f"the STATE in {location} is Meltano's; keep what stands under its key `singer_state` alone")
    if state.keys() - {"currently_syncing"} and "bookmarks" not in state:
        raise StateError(
            f"the STATE in {location} has no bookmarks; restore it, or start without one for a full backfill"
        )
    return state


def _check_catalog(content: bytes, location: str) -> None:
    try:
        catalog = _object_in(content, f"the catalog in {location}")
    except ValueError as error:
        raise ConfigurationError([f"{error}; write it again with --discover"]) from error
    if not isinstance(catalog.get("streams"), list):
        raise ConfigurationError([f"the catalog in {location} has no list of streams; write it again with --discover"])


def _object_in(
    content: bytes, location: str, *, parse_float: Callable[[str], Decimal | float] = Decimal
) -> dict[str, Any]:
    try:
        value = json.loads(content.decode(), parse_float=parse_float)
    except (ValueError, RecursionError) as error:
        where = f"line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else "not UTF-8"
        raise ValueError(f"{location} is not valid JSON ({where})") from error
    if not isinstance(value, dict):
        raise ValueError(f"{location} is not a JSON object, such as {{…}}")  # noqa: TRY004  one error for both faults
    return value
