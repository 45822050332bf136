"""A process that pulls one card: `puller.py HOME CARD_JSON [HUB]`."""

import sys
from pathlib import Path

from limner.catalog.catalog import Catalog
from limner.domain.card import ModelCard
from limner.domain.event import CancelToken, Happening, Pulling


def tell(event: Happening) -> None:
    if isinstance(event, Pulling):
        print(event.done, flush=True)


def main(home: str, card: str, hub: str | None = None) -> None:
    catalog = Catalog(Path(home), {}, hub=hub)
    catalog.pull(ModelCard.model_validate_json(card), tell, CancelToken())


main(*sys.argv[1:])
