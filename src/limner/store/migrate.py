"""Bringing the tables to the present revision. Loaded only where there is something to do."""

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from limner.store.tables import REVISION


def migrate(connection: Connection) -> None:
    """Run the missing revisions inside the transaction of this connection."""
    config = Config()
    config.set_main_option("script_location", "limner.store:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, REVISION)
