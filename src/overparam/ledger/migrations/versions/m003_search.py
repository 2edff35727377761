"""Tables of search, and the index of words in the manner of each store."""

import sqlalchemy as sa
from alembic import op

revision = "m003"
down_revision = "m002"

FIELDS = ("title", "authors", "abstract", "claims")


def upgrade() -> None:
    op.create_table(
        "search_document",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("article_id", sa.Text(), nullable=False),
        sa.Column("seen", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("authors", sa.Text(), nullable=False),
        sa.Column("abstract", sa.Text(), nullable=False),
        sa.Column("claims", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["article_id"], ["article.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("article_id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "search_model",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("made_at", sa.Text(), nullable=False),
        sa.Column("documents", sa.Integer(), nullable=False),
        sa.Column("ready_at", sa.Text(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "embedding",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("article_id", sa.Text(), nullable=False),
        sa.Column("part", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["model"], ["search_model.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["article_id"], ["article.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("model", "article_id", "part"),
    )
    if op.get_bind().dialect.name == "sqlite":
        _fts5()
    else:
        _tsvector()


def _fts5() -> None:
    if not op.get_bind().scalar(sa.text("SELECT count(*) FROM pragma_module_list WHERE name = 'fts5'")):
        return  # search then works by meaning alone, and says so
    names = ", ".join(FIELDS)
    old, new = (", ".join(f"{row}.{name}" for name in FIELDS) for row in ("old", "new"))
    forget = f"INSERT INTO search_words (search_words, rowid, {names}) VALUES ('delete', old.number, {old});"
    learn = f"INSERT INTO search_words (rowid, {names}) VALUES (new.number, {new});"
    op.execute(
        f"CREATE VIRTUAL TABLE search_words USING fts5({names}, content='search_document', content_rowid='number', "
        "tokenize='porter unicode61 remove_diacritics 2')"
    )
    for name, moment, body in (
        ("insert", "INSERT", learn),
        ("delete", "DELETE", forget),
        ("update", f"UPDATE OF {names}", forget + learn),
    ):
        op.execute(f"CREATE TRIGGER search_words_{name} AFTER {moment} ON search_document BEGIN {body} END")


def _tsvector() -> None:
    weights = {"title": "A", "authors": "B", "abstract": "C", "claims": "D"}
    words = " || ".join(f"setweight(to_tsvector('english', {name}), '{weight}')" for name, weight in weights.items())
    op.execute(f"ALTER TABLE search_document ADD COLUMN search_words tsvector GENERATED ALWAYS AS ({words}) STORED")
    op.execute("CREATE INDEX search_words_index ON search_document USING gin (search_words)")
