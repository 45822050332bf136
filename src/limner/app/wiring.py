"""Puts a studio together from settings."""

from limner.app.desk import Desk
from limner.app.models import Models
from limner.app.settings import Settings
from limner.app.studio import Studio
from limner.catalog.catalog import Catalog
from limner.domain.workspace import LOCAL_ACTOR, LOCAL_WORKSPACE
from limner.engine.local import EngineSettings, LocalEngine
from limner.families.family import discover
from limner.store.library import Library


def open_models(settings: Settings) -> Models:
    """Return the models known and kept under the home folder; touches no runtime."""
    catalog = Catalog(
        settings.home / "models", discover(), hub=settings.hub, offline=settings.offline
    )
    return Models(catalog, offline=settings.offline)


def open_studio(settings: Settings) -> Studio:
    """Return a studio that draws in this process, its library made or migrated as needed."""
    models = open_models(settings)
    engine = LocalEngine(
        models.families,
        models.locate,
        EngineSettings(memory=settings.memory, threads=settings.threads),
    )
    return Studio(Library.open(settings.home), models, engine)


def open_desk(settings: Settings) -> Desk:
    """Return the studio as the person at this machine sees it."""
    return Desk(open_studio(settings), LOCAL_ACTOR, LOCAL_WORKSPACE)
