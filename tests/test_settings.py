from overparam.settings import cache_folder, database_url


def test_places_come_from_the_environment_or_the_platform(monkeypatch, tmp_path):
    monkeypatch.setenv("OVERPARAM_CACHE", str(tmp_path))
    monkeypatch.setenv("OVERPARAM_DATABASE_URL", "postgresql://x/y")
    assert cache_folder() == tmp_path
    assert database_url() == "postgresql://x/y"
    monkeypatch.delenv("OVERPARAM_CACHE")
    monkeypatch.delenv("OVERPARAM_DATABASE_URL")
    assert cache_folder().name == "overparam"
    assert database_url().startswith("sqlite:///")
    assert database_url().endswith("ledger.sqlite3")
