"""The first tables: workspaces, assets, their recipes, environments and parents."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables and the workspace of the person at the keyboard."""
    workspaces = op.create_table(
        "workspaces",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_workspaces"),
    )
    op.bulk_insert(workspaces, [{"id": "local", "name": "Local"}])
    op.create_table(
        "recipes",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("words", sa.Text, nullable=False),
        sa.Column("json", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_recipes"),
    )
    op.create_table(
        "environments",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("json", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_environments"),
    )
    op.create_table(
        "assets",
        sa.Column("workspace", sa.String, nullable=False),
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("media_type", sa.String, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("pixel_digest", sa.String(64), nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("created_by", sa.String, nullable=False),
        sa.Column("recipe", sa.String(64)),
        sa.Column("environment", sa.String(64)),
        sa.Column("seconds", sa.Float),
        sa.PrimaryKeyConstraint("workspace", "id", name="pk_assets"),
        sa.ForeignKeyConstraint(["workspace"], ["workspaces.id"], name="fk_assets_workspace"),
        sa.ForeignKeyConstraint(["recipe"], ["recipes.digest"], name="fk_assets_recipe"),
        sa.ForeignKeyConstraint(
            ["environment"], ["environments.digest"], name="fk_assets_environment"
        ),
    )
    op.create_index("ix_assets_workspace_created_id", "assets", ["workspace", "created", "id"])
    op.create_index(
        "ix_assets_recipe_workspace_created_id",
        "assets",
        ["recipe", "workspace", "created", "id"],
    )
    op.create_index("ix_assets_id", "assets", ["id"])
    op.create_table(
        "asset_parents",
        sa.Column("workspace", sa.String, nullable=False),
        sa.Column("asset", sa.String(64), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("parent", sa.String(64), nullable=False),
        sa.Column("relation", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("workspace", "asset", "position", name="pk_asset_parents"),
        sa.ForeignKeyConstraint(
            ["workspace", "asset"],
            ["assets.workspace", "assets.id"],
            name="fk_asset_parents_workspace_asset",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_asset_parents_workspace_parent", "asset_parents", ["workspace", "parent"])
