import subprocess
import sys

import pytest

from overparam.errors import NotFound
from overparam.lab.registry import find, papers


def test_papers_of_other_packages_are_found_by_entry_point(toy):
    assert toy.package == "toy_pack"
    assert list(toy.experiments()) == ["draws", "batches", "faults", "slow", "shared"]
    assert [name for name, _ in toy.figures()] == ["draws"]
    assert toy.claim("t1").id == "T1"


def test_an_unknown_slug_names_the_nearest():
    with pytest.raises(NotFound, match="did you mean step-law"):
        find("step-laws")
    with pytest.raises(NotFound, match="`overparam list` shows all"):
        find("qqqqqq")


def test_the_listing_keeps_its_order():
    orders = [e.paper.order for e in papers().values() if e.paper.order]
    assert orders == sorted(orders)


def test_a_broken_module_fails_by_name(tmp_path):
    broken = tmp_path / "broken_pack"
    broken.mkdir()
    (broken / "__init__.py").write_text("")
    (broken / "claims.py").write_text("import nothing_of_that_name\n")
    info = tmp_path / "broken_pack-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-pack\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[overparam.papers]\nbroken = broken_pack\n")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nfrom overparam.lab.registry import papers\npapers()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "broken_pack/claims.py" in done.stderr
    assert "nothing_of_that_name" in done.stderr
