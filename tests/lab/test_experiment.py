import pytest

from overparam.errors import BadInput, NotFound
from overparam.lab import Departure, Drawing, Seeds, experiment, figure, first_available, grid
from overparam.lab.experiment import Progress, require_scale
from overparam.lab.model import Claim, Paper


def test_a_grid_is_a_union_of_products_without_repeats():
    points = list((grid(a=[1, 2], b=["x"]) + grid(a=[2, 3], b=["x"])).points())
    assert points == [{"a": 1, "b": "x"}, {"a": 2, "b": "x"}, {"a": 3, "b": "x"}]
    assert list(grid().points()) == [{}]
    assert grid(a=[1, 2], b=["x"]).varied() == ["a"]


def test_the_first_available_data_set_is_chosen_when_planned(monkeypatch):
    monkeypatch.setenv("OVERPARAM_DATA", "/nowhere")
    assert [p["data"] for p in grid(data=first_available("mnist", "digits")).points()] == ["digits"]
    assert list(grid(data=first_available("mnist")).points()) == []
    assert grid(data=first_available("mnist", "fashion")).missing() == ["mnist or fashion"]
    assert (grid(data=first_available("mnist")) + grid(data=["digits"])).missing() == []


@pytest.mark.parametrize(
    ("values", "says"),
    [({"width": "8"}, "is no list of values"), ({"width": 8}, "is no list of values")],
)
def test_a_grid_takes_lists(values, says):
    with pytest.raises(BadInput, match=says):
        grid(**values)


@pytest.mark.parametrize(
    ("points", "says"),
    [
        (grid(width=["eight"]), "width='eight' is no int"),
        (grid(width=[8.5]), "width=8.5 is no int"),
        (grid(width=[True]), "width=True is no int"),
        (grid(height=[8]), "has no parameter 'height'; it has width"),
        (grid(), "gives no value for width"),
    ],
)
def test_a_grid_must_fit_the_function(points, says):
    with pytest.raises(BadInput, match=says):

        @experiment(smoke=points)
        def trial(width: int, seed: int) -> dict[str, float]:
            return {}


def test_declarations_must_agree_with_the_signature():
    with pytest.raises(BadInput, match="needs both its description and a parameter"):

        @experiment(smoke=grid(), sabotage="broken")
        def one(seed: int) -> dict[str, float]:
            return {}

    with pytest.raises(BadInput, match="batched=True but the function takes"):

        @experiment(smoke=grid(), batched=True)
        def two(seed: int) -> dict[str, float]:
            return {}

    with pytest.raises(BadInput, match="is no experiment"):

        @figure(on=len)
        def three(trials) -> Drawing: ...


def test_the_function_stays_a_function_and_seeds_follow_the_scale():
    @experiment(smoke=grid(x=[1.0]), seeds=Seeds(smoke=2, laptop=3, paper=4))
    def trial(x: float, seed: int) -> dict[str, float]:
        return {"y": x + seed}

    assert trial(1.0, seed=2) == {"y": 3.0}
    assert trial.experiment.seeds_at("paper") == (0, 1, 2, 3)

    @experiment(smoke=grid())
    def fixed() -> dict[str, float]:
        return {}

    assert fixed.experiment.seeds_at("paper") == (0,)


def test_reads_names_data_sets_or_parameters_that_hold_one():
    @experiment(smoke=grid(data=["digits"]), reads=("data", "mnist"))
    def trial(data: str, seed: int) -> dict[str, float]:
        return {}

    assert trial.experiment.data_of({"data": "digits"}) == ("digits", "mnist")


def test_progress_is_a_fraction():
    heard = []
    Progress(lambda f, note: heard.append((f, note))).step(5, 4, "late")
    Progress().step(1, 2)
    assert heard == [(1.0, "late")]


def test_scales_are_three():
    assert require_scale("smoke") == "smoke"
    with pytest.raises(NotFound, match="choose smoke, laptop or paper"):
        require_scale("huge")


def test_claims_and_papers_are_checked_when_they_are_written(toy):
    with pytest.raises(BadInput, match="needs either `on` and `rule`, or `untestable`"):
        Claim("C1", "s", source="abstract")
    with pytest.raises(BadInput, match="has no source"):
        Claim("C1", "s", source="", untestable="no")
    with pytest.raises(BadInput, match="lower case words"):
        Paper("Bad Slug", "1", toy.paper.published, "t", 1, (), "paper", "s")
    with pytest.raises(BadInput, match="2 names but author_count=3"):
        Paper("x", "1", toy.paper.published, "t", 3, (), "paper", "s", authors=("a", "b"))


def test_departures_depend_on_the_parameters_of_the_run():
    departs = Departure("small", data=("digits", "mnist"), k=3)
    assert departs.applies([{"data": "cifar10", "k": 3}, {"data": "mnist", "k": 3}])
    assert not departs.applies([{"data": "mnist", "k": 4}, {"data": "cifar10", "k": 3}])
    assert Departure("always").applies([])
