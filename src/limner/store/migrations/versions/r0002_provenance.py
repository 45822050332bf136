"""Policies, marks and fingerprints, the registry that outlives assets, and the journal."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns and tables; what was kept before has no mark and is found by its pixels."""
    op.add_column("workspaces", sa.Column("policy", sa.Text))
    op.add_column("assets", sa.Column("provenance", sa.Text))
    op.create_table(
        "registry",
        sa.Column("workspace", sa.String, nullable=False),
        sa.Column("asset", sa.String(64), nullable=False),
        sa.Column("pixel_digest", sa.String(64), nullable=False),
        sa.Column("mark", sa.String(12)),
        sa.Column("fingerprint", sa.LargeBinary(32)),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("workspace", "asset", name="pk_registry"),
        sa.ForeignKeyConstraint(["workspace"], ["workspaces.id"], name="fk_registry_workspace"),
    )
    op.create_index("ix_registry_workspace_mark", "registry", ["workspace", "mark"])
    op.create_index("ix_registry_workspace_pixel_digest", "registry", ["workspace", "pixel_digest"])
    op.create_index("ix_registry_workspace_fingerprint", "registry", ["workspace", "fingerprint"])
    op.execute(
        "INSERT INTO registry (workspace, asset, pixel_digest, created) "
        "SELECT workspace, id, pixel_digest, created FROM assets"
    )
    op.create_table(
        "journal",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("workspace", sa.String, nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("asset", sa.String(64)),
        sa.Column("detail", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_journal"),
        sa.ForeignKeyConstraint(["workspace"], ["workspaces.id"], name="fk_journal_workspace"),
    )
    op.create_index("ix_journal_workspace_id", "journal", ["workspace", "id"])
    op.create_index("ix_journal_workspace_asset", "journal", ["workspace", "asset"])
