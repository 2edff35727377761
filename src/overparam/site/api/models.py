"""What the API takes and gives, as types; the description in OpenAPI is made of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Text = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00]*$")]
Scale = Literal["smoke", "laptop", "paper"]
Status = Literal["reproduced", "partly", "not reproduced", "inconclusive"]
Standing = Literal["reproduced", "partly", "not reproduced", "inconclusive", "not run", "not testable"]
Moment = Annotated[str, Field(description="UTC, such as 2026-11-21T14:03:00.000000Z")]
Day = Annotated[str, Field(description="Such as 2026-11-21")]
Cursor = Annotated[str | None, Field(description="Give it as `after` to get the next page; null on the last")]


class ProblemEntry(BaseModel):
    """One value that was refused."""

    detail: str
    parameter: str | None = Field(None, description="Name of the parameter")
    pointer: str | None = Field(None, description="Place in the body, such as #/scale")


class Problem(BaseModel):
    """Why a request was refused (RFC 9457)."""

    type: str = Field(description="A page that explains this kind of problem")
    title: str
    status: int
    detail: str
    instance: str
    errors: list[ProblemEntry] | None = None


class Region(BaseModel):
    """Where a part holds; null for no edge."""

    low: float | None
    high: float | None
    closed: bool


class Part(BaseModel):
    """One judged part of a rule."""

    name: str
    unit: str
    estimate: float | None
    low: float | None
    high: float | None
    n: int
    level: float
    across: str
    difference: bool
    state: Literal["holds", "fails", "unclear"]
    region: Region


class Verdict(BaseModel):
    """What the rule of a claim made of the trials of a run."""

    claim: str
    kind: Literal["empirical", "theorem", "identity"]
    status: Status
    sentence: str
    estimate: float | None
    low: float | None = Field(description="Of the 95 % interval")
    high: float | None = Field(description="Of the 95 % interval")
    n: int = Field(description="Units of evidence, mostly seeds")
    unit: str = ""
    rule: str
    rule_hash: str
    reasons: list[str] = []
    proxy: bool = Field(description="Whether the setting departs from the paper's")
    departs: list[str] = Field(description="How it departs")
    cpu_seconds: float | None = None
    parts: list[Part] = []


class PlacedVerdict(Verdict):
    """A verdict with the run that it comes from."""

    run: str
    scale: Scale
    at: Moment


class PastVerdict(PlacedVerdict):
    """A verdict in the history of a claim."""

    present: bool = Field(description="Whether it is the one that stands")
    supersedes: str | None = Field(description="Run whose verdict it replaced because rule or status changed")


class Claim(BaseModel):
    """One sentence of a paper, its rule, and where it stands."""

    claim: str
    statement: str
    source: str = Field(description="Where in the paper it stands")
    kind: Literal["empirical", "theorem", "identity"]
    rule: str | None = Field(description="The region in which it holds, in words; null if it is not testable")
    untestable: str | None = Field(description="Why no rule could judge it")
    note: str
    status: Standing
    verdict: PlacedVerdict | None


class ClaimHistory(Claim):
    """A claim with all its verdicts."""

    history: list[PastVerdict] = Field(description="Newest first")


class Paper(BaseModel):
    """A paper in a list."""

    key: str
    slug: str | None = Field(description="Name of its folder here; null if it has no code here")
    title: str
    authors: list[str]
    author_count: int
    arxiv: str | None
    doi: str | None
    published_on: Day
    listed_on: Day
    version: int
    withdrawn: bool
    topics: list[str]
    votes: int = Field(description="Up-votes on this site")
    votes_elsewhere: int
    comments: int
    code_url: str | None
    discussion_url: str | None
    page: str = Field(description="Address for people")
    standing: dict[Standing, int] | None = Field(description="Number of claims by verdict; null if it has no code here")


class Papers(BaseModel):
    """A page of papers."""

    items: list[Paper]
    next: Cursor


class RunInList(BaseModel):
    """A run without its results."""

    id: str
    paper: str
    scale: Scale
    state: Literal["running", "interrupted", "succeeded", "failed", "cancelled"]
    custom: list[str] = Field(description="Parameters that were changed by hand")
    sabotage: bool = Field(description="Whether the method was broken on purpose, as a control")
    engine: str
    workers: int
    attempt: int
    started_at: Moment
    ended_at: Moment | None
    wall_seconds: float
    document: str = Field(description="Where its verdicts, cost and provenance are")


class Runs(BaseModel):
    """A page of runs, newest first."""

    items: list[RunInList]
    next: Cursor


class FigureLinks(BaseModel):
    """A figure of a run."""

    run: str
    name: str
    caption: str
    svg: str
    csv: str


class PaperInFull(Paper):
    """A paper with its claims, verdicts, runs and figures."""

    abstract: str
    summary: str | None = Field(description="Our own words; null if it has no code here")
    fidelity: Literal["official code", "paper", "reconstruction"] | None
    runnable: bool
    claims: list[Claim]
    runs: list[RunInList] = Field(description="The newest twenty")
    figures: list[FigureLinks] = Field(description="Of the runs whose verdicts stand")


class OpenClaim(BaseModel):
    """A claim that a run did not judge."""

    claim: str
    reason: str
    untestable: bool


class TrialCounts(BaseModel):
    """How many trials a run has."""

    planned: int
    done: int
    cached: int
    failed: int


class RunInFull(BaseModel):
    """A run: verdicts, failures, cost and provenance."""

    paper: str
    scale: Scale
    run: str
    state: Literal["running", "interrupted", "succeeded", "failed", "cancelled"]
    attempt: int
    custom: list[str]
    sabotage: bool
    started_at: Moment
    ended_at: Moment | None
    verdicts: list[Verdict]
    not_judged: list[OpenClaim]
    trials: TrialCounts
    failures: list[dict[str, Any]]
    cost: dict[str, Any]
    provenance: dict[str, Any]
    figures: list[FigureLinks]
    pages_of_trials: str
    events: str = Field(description="Server-sent events, live")


class Trial(BaseModel):
    """One point of a grid with one seed."""

    position: int
    experiment: str
    params: dict[str, Any]
    seed: int
    state: Literal["queued", "running", "done", "failed"]
    cached: bool
    metrics: dict[str, Any] | None
    wall_seconds: float | None
    cpu_seconds: float | None
    peak_megabytes: float | None
    device: str | None
    outcome: str | None = Field(description="Of a failed trial")
    message: str | None


class Trials(BaseModel):
    """A page of trials, in the order planned."""

    items: list[Trial]
    next: Cursor


class RunWanted(BaseModel):
    """Which run is asked for."""

    model_config = ConfigDict(extra="forbid", strict=True)

    scale: Scale = "laptop"
    claims: list[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,20}$")]] = Field(
        [], max_length=100, description="Ids; all if empty"
    )


class RunRequest(BaseModel):
    """A run that was asked for."""

    id: str
    paper: str
    scale: Scale
    claims: list[str]
    state: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    position: int | None = Field(description="In the queue, from 1; null when it does not wait")
    cancel_requested: bool
    message: str | None
    run: str | None = Field(description="The run that it led to")
    created_at: Moment
    started_at: Moment | None
    ended_at: Moment | None


class Vote(BaseModel):
    """The votes of a paper after one was given or taken back."""

    key: str
    votes: int
    voted: bool


class BoardClaim(BaseModel):
    """A mark of the board."""

    claim: str
    statement: str
    untestable: bool
    status: Status | None
    proxy: bool
    scale: Scale | None


class BoardPaper(BaseModel):
    """A row of the board."""

    paper: str
    title: str
    arxiv: str
    published: Day
    authors: int
    topics: list[str]
    fidelity: Literal["official code", "paper", "reconstruction"]
    runnable: bool
    claims: list[BoardClaim]


class Board(BaseModel):
    """All papers with code here, by claims."""

    papers: list[BoardPaper]


class Hit(BaseModel):
    """A paper that was found."""

    paper: Paper
    score: float
    ways: list[str] = Field(description="words, meaning or both; empty where the order is by date")
    claims: list[str] = Field(description="Ids of its claims that match, best first")
    snippet: str
    marks: list[tuple[int, int]] = Field(description="Start and end of the words of the query in it")


class Found(BaseModel):
    """A page of what was found."""

    items: list[Hit]
    total: int | None = Field(description="Papers on all pages; null where it would cost too much to know")
    claim_total: int | None
    degraded: str = Field(description="Words that say so when one way of searching failed; else empty")
    verdicts: dict[str, int]
    settings: dict[str, int]
    topics: dict[str, int]
    next: Cursor


class Topic(BaseModel):
    """A topic."""

    topic: str
    papers: int


class Topics(BaseModel):
    """All topics, by number of papers."""

    items: list[Topic]


class Source(BaseModel):
    """Where papers come from, and how fresh it is."""

    source: str
    tried_at: Moment | None
    succeeded_at: Moment | None
    degraded_until: Moment | None = Field(description="Set while it fails")
    stale: bool = Field(description="Whether it was last read too long ago")


class SiteStatus(BaseModel):
    """What runs here."""

    version: str
    tables: str
    papers: int
    sources: list[Source]


class SubscriptionWanted(BaseModel):
    """Which mail is wanted."""

    model_config = ConfigDict(extra="forbid", strict=True)

    email: str = Field(max_length=254, json_schema_extra={"format": "email"})
    kinds: list[Literal["papers", "verdicts", "changes"]] = ["papers", "verdicts"]
    topics: list[Text] = Field([], max_length=40)
    words: Text = ""
    papers: list[Text] = Field([], max_length=100)
    frequency: Literal["daily", "weekly"] = "daily"
    hour: int = Field(7, ge=0, le=23, description="UTC")


class Said(BaseModel):
    """Words for people."""

    detail: str
