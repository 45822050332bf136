"""The tables of the library.

Times are whole microseconds since 1970 UTC. Recipes and environments are kept once, as canonical
JSON under their digest. Change a table together with a new revision in `migrations/versions`.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

REVISION = "0002"
"""The revision these tables are at; revisions are ordered as text."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

workspaces = Table(
    "workspaces",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("policy", Text),
)

recipes = Table(
    "recipes",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("model", String, nullable=False),
    Column("words", Text, nullable=False),
    Column("json", Text, nullable=False),
)

environments = Table(
    "environments",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("json", Text, nullable=False),
)

assets = Table(
    "assets",
    metadata,
    Column("workspace", String, ForeignKey("workspaces.id"), primary_key=True),
    Column("id", String(64), primary_key=True),
    Column("media_type", String, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("pixel_digest", String(64), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("created_by", String, nullable=False),
    Column("recipe", String(64), ForeignKey("recipes.digest")),
    Column("environment", String(64), ForeignKey("environments.digest")),
    Column("seconds", Float),
    # Terms, mark, fingerprint, drift and safety, as JSON: read with the asset, never searched.
    Column("provenance", Text),
    Index(None, "workspace", "created", "id"),
    Index(None, "recipe", "workspace", "created", "id"),
    Index(None, "id"),
)

asset_parents = Table(
    "asset_parents",
    metadata,
    Column("workspace", String, primary_key=True),
    Column("asset", String(64), primary_key=True),
    Column("position", Integer, primary_key=True),
    # No foreign key: a child remembers its parents after they are removed.
    Column("parent", String(64), nullable=False),
    Column("relation", String, nullable=False),
    ForeignKeyConstraint(
        ["workspace", "asset"], ["assets.workspace", "assets.id"], ondelete="CASCADE"
    ),
    Index(None, "workspace", "parent"),
)

registry = Table(
    "registry",
    metadata,
    Column("workspace", String, ForeignKey("workspaces.id"), primary_key=True),
    # No foreign key: what was made here is recognised after its asset is removed.
    Column("asset", String(64), primary_key=True),
    Column("pixel_digest", String(64), nullable=False),
    Column("mark", String(12)),
    Column("fingerprint", LargeBinary(32)),
    Column("created", BigInteger, nullable=False),
    Index(None, "workspace", "mark"),
    Index(None, "workspace", "pixel_digest"),
    Index(None, "workspace", "fingerprint"),
)

journal = Table(
    "journal",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("workspace", String, ForeignKey("workspaces.id"), nullable=False),
    Column("actor", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("asset", String(64)),
    Column("detail", Text, nullable=False),
    Index(None, "workspace", "id"),
    Index(None, "workspace", "asset"),
)
