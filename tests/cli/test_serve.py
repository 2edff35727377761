import pytest


def test_the_rights_of_the_desk_are_not_served_to_a_network(overparam):
    done = overparam("serve", "--local", "--host", "0.0.0.0")
    assert done.returncode == 2
    assert "listen on 127.0.0.1, or leave --local out" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_missing_library_of_the_site_is_named_with_its_extra(overparam, tmp_path):
    (tmp_path / "starlette").mkdir()
    (tmp_path / "starlette" / "__init__.py").write_text("raise ModuleNotFoundError('no', name='starlette')")
    import os

    path = os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]])
    done = overparam("serve", PYTHONPATH=path)
    assert done.returncode == 1
    assert done.stderr.strip() == 'overparam: this needs starlette; pip install "overparam[site]"'


@pytest.mark.slow
def test_a_port_that_is_taken_is_named(overparam):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = overparam("serve", "--local", "--no-worker", "--port", taken.getsockname()[1], timeout=60)
    assert done.returncode != 0
    assert "address already in use" in done.stderr
