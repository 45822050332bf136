"""Puts a studio together from settings."""

from limner.app.desk import Desk
from limner.app.keys import Keyring
from limner.app.models import Models
from limner.app.settings import Settings
from limner.app.studio import Studio
from limner.catalog.catalog import Catalog
from limner.domain.workspace import LOCAL_ACTOR, LOCAL_WORKSPACE
from limner.engine.local import EngineSettings, LocalEngine
from limner.families.family import discover
from limner.provenance.signing import Signer
from limner.store.library import Library


def open_models(settings: Settings) -> Models:
    """Return the models known and kept under the home folder; touches no runtime."""
    catalog = Catalog(
        settings.home / "models",
        discover(),
        hub=settings.hub,
        offline=settings.offline,
        token=settings.hub_token,
    )
    return Models(catalog, offline=settings.offline)


def open_studio(settings: Settings, signer: Signer | None = None) -> Studio:
    """Return a studio that draws in this process, its library made or migrated as needed.

    `signer` takes the place of the keys in the home folder.
    """
    models = open_models(settings)
    engine = LocalEngine(
        models.families,
        models.locate,
        EngineSettings(memory=settings.memory, threads=settings.threads),
    )
    return Studio(
        Library.open(settings.home),
        models,
        engine,
        Keyring(settings, signer),
        settings.home / "wildcards",
    )


def open_desk(settings: Settings, signer: Signer | None = None) -> Desk:
    """Return the studio as the person at this machine sees it."""
    return Desk(open_studio(settings, signer), LOCAL_ACTOR, LOCAL_WORKSPACE)
