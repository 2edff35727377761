import functools
import gzip
import hashlib
import http.server
import os
import subprocess
import threading

import pytest

from overparam import data
from overparam.data.store import Source, at_hand, fingerprint, locate
from overparam.errors import BadInput, NotFound, Unavailable

TEXT = b"a,b\n1,2\n" * 100
SUM = hashlib.sha256(TEXT).hexdigest()


def source(name="table.csv", url="http://127.0.0.1:1/table.csv", total=SUM):
    return Source("things", name, (total,), url)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    place = tmp_path / "data" / "things"
    place.mkdir(parents=True)
    monkeypatch.setenv("OVERPARAM_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("OVERPARAM_OFFLINE", "1")
    return place


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A real HTTP server on loopback."""
    monkeypatch.delenv("OVERPARAM_OFFLINE", raising=False)
    monkeypatch.setenv("OVERPARAM_DATA", "")
    place = tmp_path / "public"
    place.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    served = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=place))
    thread = threading.Thread(target=served.serve_forever)
    thread.start()
    yield place, f"http://127.0.0.1:{served.server_port}"
    served.shutdown()
    thread.join()
    served.server_close()


def test_the_users_folder_comes_before_the_cache(folder, home):
    cached = home / "cache" / "data" / "things"
    cached.mkdir(parents=True)
    (cached / "table.csv").write_bytes(TEXT)
    assert locate(source()) == cached / "table.csv"
    (folder / "table.csv").write_bytes(TEXT)
    assert locate(source()) == folder / "table.csv"


def test_missing_and_offline_is_one_line_with_what_to_do(folder):
    assert not at_hand(source())
    with pytest.raises(Unavailable) as error:
        locate(source())
    assert "things/table.csv is not at hand" in str(error.value)
    assert "fetch http://127.0.0.1:1/table.csv into a folder things/" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_cut_short_is_refused(folder):
    (folder / "table.csv").write_bytes(TEXT[:-3])
    with pytest.raises(BadInput, match="cut short or another version: delete it"):
        locate(source())
    packed = gzip.compress(TEXT)
    (folder / "table.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(BadInput, match="is damaged or cut short"):
        locate(source("table.gz"))


def test_compressed_files_are_known_by_their_content(folder):
    for level in (1, 9):
        (folder / "table.gz").write_bytes(gzip.compress(TEXT, level, mtime=level))
        assert locate(source("table.gz")).exists()


def test_a_changed_file_is_noticed(folder):
    (folder / "table.csv").write_bytes(TEXT)
    before = fingerprint([source()])
    (folder / "table.csv").write_bytes(TEXT + b"3,4\n")
    with pytest.raises(BadInput):
        locate(source())
    assert fingerprint([source(total=hashlib.sha256(TEXT + b"3,4\n").hexdigest())]) != before


def test_a_read_only_folder_is_enough(folder):
    (folder / "table.csv").write_bytes(TEXT)
    if os.geteuid() == 0 and not subprocess.run(["mount", "--bind", folder, folder]).returncode:
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
        try:
            assert locate(source()) == folder / "table.csv"
        finally:
            subprocess.run(["umount", "-l", folder], check=True)
    else:
        folder.chmod(0o500)
        assert locate(source()) == folder / "table.csv"
        folder.chmod(0o700)
    assert [p.name for p in folder.iterdir()] == ["table.csv"]


def test_a_download_is_checked_and_kept(server, home):
    place, url = server
    (place / "table.csv").write_bytes(TEXT)
    found = locate(source(url=f"{url}/table.csv"))
    assert found == home / "cache" / "data" / "things" / "table.csv"
    (place / "table.csv").unlink()
    assert locate(source(url=f"{url}/table.csv")).read_bytes() == TEXT


def test_a_download_with_other_content_is_refused(server):
    place, url = server
    (place / "table.csv").write_bytes(b"<html>not here any more</html>")
    with pytest.raises(BadInput, match="another version"):
        locate(source(url=f"{url}/table.csv"))


def test_an_unreachable_source_says_so(server):
    _, url = server
    with pytest.raises(Unavailable, match="cannot be fetched"):
        locate(source(url=f"{url}/nothing.csv"))


def test_sources_in_another_format_are_never_fetched(server):
    with pytest.raises(Unavailable, match="has to be put there by hand"):
        locate(Source("things", "table.parquet", (SUM,), "http://127.0.0.1:1/table.pt", fetch=False))


def test_names_are_known_and_unknown():
    assert {"cifar10", "cifar10n", "digits", "fashion", "mnist", "step-law"} <= set(data.names())
    with pytest.raises(NotFound, match="data set 'imagenet' is unknown; there are"):
        data.load("imagenet")
    assert data.available("digits")
    assert len(data.checksum("digits")) == 64
