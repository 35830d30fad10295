"""Signers: a package of someone else's, found by its entry point, authenticates each request as it is sent."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import Any

import pytest

from tap_restextract.config.reading import read_settings
from tap_restextract.errors import ConfigurationError
from tests.support.api import Api, Asked, Reply, serving
from tests.support.processes import Run, tap
from tests.support.streams import config

MODULE = """
import hashlib, hmac, itertools

count = itertools.count(1)

def sign(request):
    nonce = str(next(count))
    parts = [request.method, request.url, nonce, request.options["region"], request.body.decode(), request.headers["Accept"]]
    digest = hmac.new(request.settings["auth_client_secret"].encode(), "\\n".join(parts).encode(), hashlib.sha256)
    return {"X-Nonce": nonce, "x-key": request.settings["auth_client_id"], "Authorization": "HMAC " + digest.hexdigest()}

def broken(request):
    raise RuntimeError(request.settings["auth_client_secret"])

def numbers(request):
    return {"X-Nonce": 5}

def late(request):
    import no_such_module
"""
POINTS = """[tap_restextract.signers]
example = example_signer:sign
broken = example_signer:broken
numbers = example_signer:numbers
absent = example_signer:nothing
lacking = lacking_signer:sign
failing = failing_signer:sign
late = example_signer:late
"""
SECRETS = {"auth_client_id": "id-1", "auth_client_secret": "s3cr&t"}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A folder with an installed package, as pip would lay it out."""
    folder = tmp_path / "site"
    info = folder / "example_signer-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "example_signer.py").write_text(MODULE)
    (folder / "lacking_signer.py").write_text("import no_such_module\n")
    (folder / "failing_signer.py").write_text("raise RuntimeError('s3cr&t')\n")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: example-signer\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(POINTS)
    return folder


def run(tmp_path: Path, package: Path, api: Api, name: str = "example", **keys: Any) -> Run:
    auth = {"type": "plugin", "name": name, "options": {"region": "eu"}}
    return tap(tmp_path, config(api.url, auth=auth, **SECRETS, **keys), env={"PYTHONPATH": str(package)})


def is_signed(asked: Asked, url: str) -> bool:
    parts = [asked.method, url, asked.headers["x-nonce"], "eu", asked.body.decode(), asked.headers["accept"]]
    digest = hmac.new(b"s3cr&t", "\n".join(parts).encode(), hashlib.sha256).hexdigest()
    return asked.headers["authorization"] == f"HMAC {digest}" and asked.headers["x-key"] == "id-1"


def test_each_attempt_is_signed_as_it_goes_over_the_wire(tmp_path: Path, package: Path) -> None:
    def answers(_: Asked) -> Reply:
        return Reply([{"id": 1}]) if len(api.asked) > 1 else Reply(b"", 503, {"Retry-After": "0"})

    with serving(answers) as api:
        done = run(tmp_path, package, api, params={"q": "a b/ü", "n": 5}, headers={"X-Key": "old", "X-Other": "kept"})
        assert done.code == 0, done.err
        assert len(done.records) == 1
        url = f"{api.url}/things?q=a+b%2F%C3%BC&n=5"
        assert [is_signed(asked, url) for asked in api.asked] == [True, True]
        assert [asked.headers["x-nonce"] for asked in api.asked] == ["1", "2"]
        assert {asked.headers["x-other"] for asked in api.asked} == {"kept"}


def test_the_body_is_signed_as_it_is_sent(tmp_path: Path, package: Path) -> None:
    with serving(lambda _: Reply([{"id": 1}])) as api:
        assert run(tmp_path, package, api, method="POST", json={"query": "ü"}).code == 0
        (asked,) = api.asked
        assert is_signed(asked, f"{api.url}/things")
        assert asked.body == '{"query":"ü"}'.encode()


def test_a_signature_that_the_api_repeats_is_in_no_message(tmp_path: Path, package: Path) -> None:
    with serving(
        lambda asked: Reply({"message": f"bad signature {asked.headers['authorization']} s3cr&t"}, 403)
    ) as api:
        done = run(tmp_path, package, api)
        signature = api.asked[0].headers["authorization"]
    assert done.code == 1
    assert "answered 403 (bad signature •••" in done.err
    assert signature not in done.err
    assert "s3cr" not in done.err


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("broken", "stream things: the signer 'broken' raised RuntimeError; check auth.options"),
        ("numbers", "stream things: the signer 'numbers' returned headers that aren't text"),
        ("absent", "the signer 'absent' (example_signer:nothing) can't be imported (AttributeError)"),
        (
            "lacking",
            (
                "the signer 'lacking' (lacking_signer:sign) can't be imported (ModuleNotFoundError: there is no module "
                "'no_such_module'); install that module beside the tap"
            ),
        ),
        ("failing", "the signer 'failing' (failing_signer:sign) can't be imported (RuntimeError); fix its package"),
        (
            "late",
            "the signer 'late' raised ModuleNotFoundError: there is no module 'no_such_module'; check auth.options",
        ),
        (
            "exmaple",
            "there is no signer 'exmaple' in the entry points tap_restextract.signers; installed are absent, broken, ",
        ),
    ],
)
def test_a_signer_that_does_not_work_is_reported_without_a_secret(
    tmp_path: Path, package: Path, name: str, told: str
) -> None:
    with serving(lambda _: Reply([])) as api:
        done = run(tmp_path, package, api, name)
        assert api.asked == []
    assert done.code == 1
    assert told in "\n".join(done.told)
    assert "Traceback" not in done.err
    assert "s3cr" not in done.err


def test_a_plugin_without_a_name_is_a_fault_of_the_configuration() -> None:
    with pytest.raises(ConfigurationError, match="auth: the key 'name' is missing"):
        read_settings(config(auth={"type": "plugin"}))
