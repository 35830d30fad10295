"""The commands of webhooks: the receiver, the drain that listens, and what waits in the queue."""

from __future__ import annotations

import gc
import logging
import signal
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tap_restextract.config.reading import webhooks_in
from tap_restextract.config.webhooks import Ed25519, ReceiverSettings
from tap_restextract.errors import ConfigurationError
from tap_restextract.tap import TapRestextract, config_in, state_in
from tap_restextract.webhooks.follow import StateFileTail, follow
from tap_restextract.webhooks.queues.locations import open_queue
from tap_restextract.webhooks.queues.protocol import Queue
from tap_restextract.webhooks.signatures import PUBLIC_PREFIX, keys_of
from tap_restextract.webhooks.stream import WebhookStream

if TYPE_CHECKING:
    from types import FrameType

CONFIG = click.option(
    "--config", multiple=True, help="Configuration file, or ENV for the environment; may be repeated."
)


@click.group(help="Receive webhooks, keep them in a queue, and emit what they report.")
def webhooks() -> None:
    """Group the commands of webhooks."""


@webhooks.command(help="Receive notifications: verify, store durably, answer 2xx. Any number may run.")
@CONFIG
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="Port to listen on.")
def serve(config: tuple[str, ...], host: str, port: int) -> None:
    """Run the receiver until a signal ends it."""
    try:
        import uvicorn  # noqa: PLC0415  an extra

        from tap_restextract.webhooks.receiver import Receiver, application  # noqa: PLC0415  likewise
    except ImportError as error:
        raise ConfigurationError(
            ["webhooks serve needs Starlette and uvicorn: pip install 'tap-restextract[webhooks]'"]
        ) from error
    tap = _tap(config, None)
    receiver_settings = _receiver_settings(tap)
    assert receiver_settings.webhooks is not None
    _log_to_stderr()
    log = logging.getLogger("tap-restextract.webhooks")
    plans = {plan.stream.name: plan for plan in tap.plans()}
    receiver = Receiver(receiver_settings, receiver_settings.webhooks, plans, log)
    # Opened once before anything is accepted, so that a fault of the configuration is reported as one.
    with closing(open_queue(receiver_settings.queue)) as queue:
        queue.identity  # noqa: B018  it connects
    server = uvicorn.Server(
        uvicorn.Config(
            application(receiver, lambda: open_queue(receiver_settings.queue)),
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            server_header=False,
            ws="none",
            lifespan="on",
            timeout_keep_alive=65,
            timeout_graceful_shutdown=30,
        )
    )
    gc.freeze()  # what was imported lives as long as the process: it needs no look at each collection
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, _ignore_signal)  # the server raises it again, once it has stopped by it
    server.run()
    if not server.started:
        raise ConfigurationError(
            [f"webhooks serve can't listen on {host} port {port}; choose another --host or --port"]
        )


@webhooks.command(help="Emit what waits in the queue as Singer messages; with --follow, and what comes.")
@CONFIG
@click.option("--state", type=click.Path(dir_okay=False, path_type=Path), help="STATE of an earlier run.")
@click.option("--catalog", type=click.Path(dir_okay=False, path_type=Path), help="Singer catalog.")
@click.option("--stream", "names", multiple=True, help="Only this stream; may be repeated.")
@click.option("--follow", "follows", is_flag=True, help="Keep the pipe open, and emit as notifications come.")
@click.option(
    "--state-every", default=0.2, show_default=True, type=click.FloatRange(0.01), help="Seconds between STATEs."
)
@click.option(
    "--loaded",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File that the target's output is appended to: what its STATEs cover leaves the queue while this runs.",
)
def drain(  # noqa: PLR0913, PLR0917  one a command-line option
    config: tuple[str, ...],
    state: Path | None,
    catalog: Path | None,
    names: tuple[str, ...],
    follows: bool,  # noqa: FBT001  a flag of the command line
    state_every: float,
    loaded: Path | None,
) -> None:
    """Emit, without polling any list."""
    tap = _tap(config, state, catalog)
    streams = [each for each in tap.streams.values() if isinstance(each, WebhookStream) and each.selected]
    if unknown := set(names) - {each.name for each in streams}:
        known = ", ".join(each.name for each in streams) or "none"
        raise ConfigurationError([f"there is no stream of webhooks {min(unknown)!r}; there are {known}"])
    chosen = [each for each in streams if not names or each.name in names]
    if not chosen:
        raise ConfigurationError(["no stream has source: webhooks; declare it where notifications are to come out"])
    stopping: list[int] = []

    def stop(signum: int, frame: FrameType | None) -> None:
        del frame
        if stopping:
            sys.exit(128 + signum)
        stopping.append(signum)

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, stop)
    tail = StateFileTail(loaded) if loaded is not None else None
    with closing(open_queue(_receiver_settings(tap).queue)) as queue:
        if follows:
            follow(chosen, queue, every=state_every, committed=tail, ended=lambda: bool(stopping))
        else:
            _drain_once(chosen, queue, stopping)


@webhooks.command(help="Say how many notifications wait in the queue.")
@CONFIG
def waiting(config: tuple[str, ...]) -> None:
    """Print the number."""
    with closing(open_queue(_receiver_settings(_tap(config, None)).queue)) as queue:
        click.echo(queue.length())


def _ignore_signal(signum: int, frame: FrameType | None) -> None:
    del signum, frame


def _drain_once(streams: list[WebhookStream], queue: Queue, stopping: list[int]) -> None:
    for stream in streams:
        stream._write_schema_message()  # noqa: SLF001  singer-sdk's own name for it
        with closing(stream.drain(queue)) as drain:
            for step in drain.steps():
                stream.emit(step.records)
                stream.keep_position(drain.bookmark)
                stream.write_state()
                if stopping:
                    return


def _tap(config: tuple[str, ...], state: Path | None, catalog: Path | None = None) -> TapRestextract:
    given = config_in(config)
    options: dict[str, Any] = {"state": {} if state is None else state_in(state.read_bytes(), str(state))}
    if catalog is not None:
        options["catalog"] = str(catalog)
    return TapRestextract(config=given.config, parse_env_config=given.parse_env, setup_mapper=True, **options)


def _receiver_settings(tap: TapRestextract) -> ReceiverSettings:
    received = webhooks_in(tap.config)
    if received.webhooks is None:
        raise ConfigurationError(
            ["config.webhooks is missing; say there who sends notifications, and how they are signed"]
        )
    faults = []
    if any(isinstance(source.signature, Ed25519) for source in received.webhooks.sources) or any(
        secret.startswith(PUBLIC_PREFIX) for secrets in received.secrets.values() for secret in secrets
    ):
        _require_cryptography()
    for source in received.webhooks.sources:
        try:
            keys_of(source.signature, received.secrets[source.name])
        except ValueError as error:
            kind = type(source.signature).__struct_config__.tag
            faults.append(f"config.webhook_secrets.{source.name}: {error}, as {kind} has it; copy it again")
    if faults:
        raise ConfigurationError(faults)
    return received


def _require_cryptography() -> None:
    try:
        import cryptography  # noqa: F401, PLC0415  an extra
    except ImportError as error:
        raise ConfigurationError(
            ["public keys of Ed25519 need cryptography: pip install 'tap-restextract[webhooks]'"]
        ) from error


def _log_to_stderr() -> None:
    """Log lines to stderr, those of the server's own library from warnings on."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s: %(message)s", force=True)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
