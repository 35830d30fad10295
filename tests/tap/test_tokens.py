"""OAuth 2.0 against a real token endpoint: fetched when needed, refreshed once, and a rotated token never lost."""

from __future__ import annotations

import base64
import json
import logging
import stat
import subprocess
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tap_restextract.errors import ApiError, ConfigurationError, NoAnswerError, TapError
from tap_restextract.http.client import Client
from tap_restextract.http.tokens import TokenKeeper
from tap_restextract.walks.steps import PageRequest
from tests.support.api import Api, Asked, Reply, scripted, serving
from tests.support.processes import TAP, environment, tap, written
from tests.support.streams import config, stream

LOG = logging.getLogger("test")
RECORDS = [{"id": 1}]


class Identity:
    """A token endpoint that rotates its refresh tokens, each good for one use, and an API behind it."""

    def __init__(self, *refresh_tokens: str) -> None:
        self.good = set(refresh_tokens)
        self.access = ""
        self.issued = 0
        self.expires_after: int | None = None
        self.served = 0

    def __call__(self, asked: Asked) -> Reply:
        if asked.path == "/token":
            return self._token(asked.form)
        if asked.headers.get("authorization") != f"Bearer {self.access}" or not self.access:
            return Reply({"message": "token expired"}, 401)
        self.served += 1
        if self.served == self.expires_after:
            self.access = ""
        return Reply(RECORDS)

    def _token(self, form: dict[str, str]) -> Reply:
        answer: dict[str, Any] = {"token_type": "bearer"}
        if form["grant_type"] == "refresh_token":
            if form["refresh_token"] not in self.good:
                return Reply({"error": "invalid_grant", "error_description": f"used: {form['refresh_token']}"}, 400)
            self.good.remove(form["refresh_token"])
            answer["refresh_token"] = f"{form['refresh_token']}+"
            self.good.add(answer["refresh_token"])
        self.issued += 1
        self.access = f"acc-{self.issued}"
        return Reply(answer | {"access_token": self.access})


def oauth(api: Api, kind: str = "oauth2_refresh_token", **more: Any) -> dict[str, Any]:
    """The keys of a stream with this type of auth."""
    return {
        "base_url": api.url,
        "auth": {"type": kind, "access_token_url": f"{api.url}/token", **more},
        "auth_client_id": "client",
        "auth_client_secret": "s3cret&client",
        "auth_refresh_token": "s3cret-refresh",
    }


def read(keys: dict[str, Any], keeper: TokenKeeper | None = None, times: int = 1) -> list[Any]:
    """The records of so many pages."""
    with closing(Client(stream(**keys), keeper or TokenKeeper(), LOG, "0")) as client:
        return [list(client.page(PageRequest()).records) for _ in range(times)]


@pytest.mark.parametrize("place", ["body", "header"])
def test_client_credentials_reach_the_endpoint_where_the_configuration_says(place: str) -> None:
    with serving(Identity()) as api:
        assert read(oauth(api, "oauth2_client_credentials", client_authentication=place, scope="a b")) == [RECORDS]
        asked = api.asked[0]
        assert asked.form["scope"] == "a b"
        assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
        if place == "body":
            assert (asked.form["client_id"], asked.form["client_secret"]) == ("client", "s3cret&client")
        else:
            assert base64.b64decode(asked.headers["authorization"].removeprefix("Basic ")) == b"client:s3cret%26client"
            assert "client_secret" not in asked.form


def test_one_access_token_serves_all_pages_and_all_streams_of_a_tap() -> None:
    with serving(Identity()) as api:
        keeper = TokenKeeper()
        keys = oauth(api, "oauth2_client_credentials")
        read(keys, keeper, times=3)
        read({**keys, "name": "others", "path": "/others"}, keeper, times=2)
        assert [asked.path for asked in api.asked].count("/token") == 1


def test_a_token_that_expires_in_mid_run_is_fetched_again_once_and_the_page_is_asked_again() -> None:
    identity = Identity()
    identity.expires_after = 2
    with serving(identity) as api:
        assert read(oauth(api, "oauth2_client_credentials"), times=4) == [RECORDS] * 4
        assert [asked.path for asked in api.asked].count("/token") == 2


def test_a_fresh_token_that_is_refused_is_reported_and_not_fetched_again(tmp_path: Path) -> None:
    def answers(asked: Asked) -> Reply:
        return Reply({"access_token": "acc"}) if asked.path == "/token" else Reply({"message": "no"}, 401)

    with serving(answers) as api:
        with pytest.raises(ApiError, match=r"/things was answered 401 \(no\); check the credentials"):
            read(oauth(api, token_file=str(tmp_path / "token.json")))
        assert [asked.path for asked in api.asked].count("/token") == 2


def test_a_rotated_token_is_on_disk_for_its_owner_alone_and_serves_the_next_run(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "token.json"
    with serving(Identity("s3cret-refresh")) as api:
        for _ in range(3):
            assert read(oauth(api, token_file=str(file))) == [RECORDS]
        sent = [asked.form["refresh_token"] for asked in api.asked if asked.path == "/token"]
        assert sent == ["s3cret-refresh", "s3cret-refresh+", "s3cret-refresh++"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir() if not path.name.endswith(".lock")] == ["token.json"]


def test_several_accounts_share_a_file_and_none_loses_its_token(tmp_path: Path) -> None:
    with serving(Identity("one", "two")) as api:
        keys = oauth(api, token_file=str(tmp_path / "token.json"))
        for _ in range(2):
            for token in ("one", "two"):
                assert read({**keys, "auth_refresh_token": token}) == [RECORDS]


def test_a_newly_configured_token_is_used_and_not_the_stored_one(tmp_path: Path) -> None:
    with serving(Identity("s3cret-refresh", "new")) as api:
        keys = oauth(api, token_file=str(tmp_path / "token.json"))
        read(keys)
        read({**keys, "auth_refresh_token": "new"})
        assert api.asked[-2].form["refresh_token"] == "new"


def test_several_runs_at_once_refresh_one_after_the_other(tmp_path: Path) -> None:
    with serving(Identity("s3cret-refresh")) as api:
        keys = oauth(api, token_file=str(tmp_path / "token.json"))
        faults: list[BaseException] = []

        def run() -> None:
            try:
                TokenKeeper().access_token(stream(**keys), Client(stream(**keys), TokenKeeper(), LOG, "0")._fetch_token)
            except TapError as error:
                faults.append(error)

        threads = [threading.Thread(target=run) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert faults == []
        sent = [asked.form["refresh_token"] for asked in api.asked]
        assert sent == [f"s3cret-refresh{'+' * count}" for count in range(5)]


def test_a_rotated_token_survives_a_kill_right_after_the_rotation(tmp_path: Path) -> None:
    identity, arrived, release = Identity("s3cret-refresh"), threading.Event(), threading.Event()

    def answers(asked: Asked) -> Reply:
        if asked.path != "/token" and not arrived.is_set():
            arrived.set()
            release.wait(60)
        return identity(asked)

    with serving(answers) as api:
        keys = oauth(api)
        whole = config(**keys)
        file = written(tmp_path, "config.json", whole)
        process = subprocess.Popen(
            [TAP, "--config", file],
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert arrived.wait(60)
        finally:
            process.kill()
            process.wait()
            release.set()
        run = tap(tmp_path, whole)
        assert run.code == 0, run.err
        assert run.records == RECORDS
        assert "s3cret" not in run.out + run.err


def test_a_token_file_that_can_not_be_written_is_reported_before_the_token_is_used_up(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    with serving(Identity("s3cret-refresh")) as api:
        with pytest.raises(ConfigurationError, match=r"token_file .* can't be written .*set auth\.token_file"):
            read(oauth(api, token_file=str(blocked / "token.json")))
        assert api.asked == []


@pytest.mark.parametrize("content", ["", "{", '{"a": 1}', "[]", '"x"'])
def test_a_token_file_that_can_not_be_read_is_reported_and_nothing_is_asked(tmp_path: Path, content: str) -> None:
    file = tmp_path / "token.json"
    file.write_text(content)
    with serving(Identity("s3cret-refresh")) as api:
        with pytest.raises(ConfigurationError, match=r"token_file .* can't be read; correct or remove it"):
            read(oauth(api, token_file=str(file)))
        assert api.asked == []


def test_a_rotated_token_that_can_not_be_stored_is_reported_without_it(tmp_path: Path) -> None:
    file = tmp_path / "token.json"
    identity = Identity("s3cret-refresh")

    def answers(asked: Asked) -> Reply:
        file.mkdir(exist_ok=True)  # the place is taken while the endpoint works
        return identity(asked)

    with serving(answers) as api, pytest.raises(ConfigurationError) as caught:
        read(oauth(api, token_file=str(file)))
    assert "the rotated refresh token can't be written" in str(caught.value)
    assert "configure a new auth_refresh_token" in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (Reply({"error": "invalid_client"}, 401), "401 without an access token (invalid_client); check auth_client_id"),
        (Reply({"error": "no", "error_description": "s3cret&client s3cret-refresh"}, 400), "(••• •••)"),
        (Reply({"error": {"deep": "s3cret-refresh"}}, 400), "400 without an access token"),
        (Reply({"token": "x"}), "200 without an access token"),
        (Reply({"access_token": 5}), "200 without an access token"),
        (Reply(b"<html>"), "200 without an access token"),
        (Reply([]), "200 without an access token"),
        (Reply(b"", 500), "500 without an access token"),
        (Reply(b"", 302, {"Location": "/other"}), "set auth.access_token_url to where"),
    ],
)
def test_an_endpoint_that_gives_no_token_is_reported_once_without_secrets(
    tmp_path: Path, reply: Reply, told: str
) -> None:
    with serving(scripted(reply)) as api:
        with pytest.raises(ApiError) as caught:
            read(oauth(api, token_file=str(tmp_path / "token.json")))
        assert f"stream things: the token endpoint POST {api.url}/token was answered" in str(caught.value)
        assert told in str(caught.value)
        assert "s3cret" not in str(caught.value)
        assert len(api.asked) == 1


def test_an_endpoint_that_is_busy_is_asked_again_and_one_that_took_the_token_is_not() -> None:
    busy = Reply(b"", 503, {"Retry-After": "0"})
    with serving(scripted(busy, Reply({"access_token": "acc"}), Reply(RECORDS))) as api:
        assert read(oauth(api, "oauth2_client_credentials")) == [RECORDS]
        assert len(api.asked) == 3
    with serving(scripted(Reply({"access_token": "acc"}, cut=5))) as api:
        with pytest.raises(NoAnswerError, match=r"the token endpoint .*the answer was cut off; run again"):
            read(oauth(api, "oauth2_client_credentials"))
        assert len(api.asked) == 1


def test_no_redirect_carries_credentials_away_from_the_endpoint() -> None:
    with serving(scripted(Reply({"access_token": "acc"}))) as other:
        with (
            serving(scripted(Reply(b"", 307, {"Location": f"{other.url}/token"}))) as api,
            pytest.raises(ApiError, match="307 without"),
        ):
            read(oauth(api, "oauth2_client_credentials"))
        assert other.asked == []


def test_a_state_and_a_log_contain_no_token(tmp_path: Path) -> None:
    with serving(Identity("s3cret-refresh")) as api:
        run = tap(tmp_path, config(**oauth(api)), env={"LOGLEVEL": "DEBUG"})
        assert run.code == 0
        assert run.records == RECORDS
        for secret in ("s3cret", "acc-1"):
            assert secret not in run.out + run.err
        kept = json.loads((tmp_path / ".tap-restextract" / "refresh_token.json").read_text())
        assert list(kept.values()) == ["s3cret-refresh+"]
