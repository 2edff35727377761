import stat
import subprocess
import sys
import threading

import itsdangerous
import pytest

from overparam.errors import BadInput, Unavailable
from overparam.feed.secrets import _lines, decrypt, encrypt, fingerprint, sign, verify


@pytest.fixture(autouse=True)
def secret(tmp_path, monkeypatch):
    path = tmp_path / "keys" / "secret"
    monkeypatch.setenv("OVERPARAM_SECRET_FILE", str(path))
    _lines.cache_clear()
    return path


def rewrite(path, *lines):
    path.write_text("\n".join(lines) + "\n")
    _lines.cache_clear()


def test_a_token_gives_its_payload_back_for_its_purpose_only():
    token = sign(["01J", 2], "manage")
    assert verify(token, "manage") == ["01J", 2]
    for wrong in (token[:-2], f"{token}x", "", "ä", token.replace(".", "")):
        with pytest.raises(BadInput, match="not valid"):
            verify(wrong, "manage")
    with pytest.raises(BadInput, match="not valid"):
        verify(token, "confirm")


def test_a_token_ages_only_where_an_age_is_asked(monkeypatch):
    token = sign("x", "confirm")
    made = itsdangerous.TimestampSigner("k").get_timestamp()
    monkeypatch.setattr(itsdangerous.TimestampSigner, "get_timestamp", lambda self: made + 101)
    assert verify(token, "confirm", max_age=102) == "x"
    assert verify(token, "confirm") == "x"
    with pytest.raises(BadInput, match="expired"):
        verify(token, "confirm", max_age=100)


def test_a_new_line_on_top_rotates_and_the_old_one_still_reads(secret):
    token, hidden, hashed = sign("x", "manage"), encrypt("you@example.org"), fingerprint("you@example.org", "email")
    old = secret.read_text().strip()
    new = "n" * 40
    rewrite(secret, new, old)
    assert verify(token, "manage") == "x"
    assert decrypt(hidden) == "you@example.org"
    assert fingerprint("you@example.org", "email") == hashed
    later, hidden_later = sign("y", "manage"), encrypt("me@example.org")
    rewrite(secret, new)
    assert verify(later, "manage") == "y"
    assert decrypt(hidden_later) == "me@example.org"
    with pytest.raises(BadInput):
        verify(token, "manage")
    with pytest.raises(Unavailable, match="restore the old line"):
        decrypt(hidden)


def test_encryption_hides_and_hashes_differ_by_purpose():
    assert "you" not in encrypt("you@example.org")
    assert encrypt("a") != encrypt("a")
    assert fingerprint("a", "email") != fingerprint("a", "network")
    assert len(fingerprint("a", "email")) == 64


def test_the_file_is_for_its_owner_alone(secret):
    sign("x", "manage")
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert list(secret.parent.iterdir()) == [secret]


def test_a_short_or_empty_secret_is_refused(secret):
    secret.parent.mkdir()
    for lines in (["short"], [""], ["s" * 40, "short"]):
        rewrite(secret, *lines)
        with pytest.raises(Unavailable, match="at least 32"):
            sign("x", "manage")


def test_a_folder_that_cannot_be_made_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("OVERPARAM_SECRET_FILE", str(tmp_path / "file" / "secret"))
    with pytest.raises(Unavailable, match="set OVERPARAM_SECRET_FILE"):
        sign("x", "manage")


def test_threads_that_start_at_once_share_one_secret(secret):
    barrier, found = threading.Barrier(8), []

    def work():
        barrier.wait()
        found.append(fingerprint("x", "email"))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _lines.cache_clear()
    assert set(found) == {fingerprint("x", "email")}


@pytest.mark.slow
def test_processes_that_start_at_once_share_one_secret():
    code = "from overparam.feed.secrets import fingerprint; print(fingerprint('x', 'email'))"
    started = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert {process.communicate()[0].strip() for process in started} == {fingerprint("x", "email")}
