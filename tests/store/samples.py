"""Assets to keep, alike but for what a test sets."""

import hashlib
from datetime import UTC, datetime, timedelta

from limner.domain.asset import Asset, Environment, Parent, Relation
from limner.domain.recipe import ModelRef, Recipe, Size, Task

START = datetime(2026, 11, 1, 12, 0, 0, 123456, tzinfo=UTC)
ENVIRONMENT = Environment(
    limner="0.1.0",
    python="3.11.9",
    platform="linux",
    processor="x86_64",
    device="cpu",
    dtype="float32",
    threads=2,
    libraries=(("onnxruntime", "1.22.0"),),
)


def make_asset(
    number: int = 0,
    *,
    prompt: str | None = None,
    model: str = "vellum",
    workspace: str = "local",
    parents: tuple[Asset, ...] = (),
    created: datetime | None = None,
) -> tuple[Asset, bytes]:
    file = f"picture {number}".encode() * 50
    recipe = Recipe(
        task=Task.TEXT_TO_IMAGE,
        model=ModelRef(name=model, sha256="ab" * 32),
        prompt=f"fox {number}" if prompt is None else prompt,
        seed=number,
        size=Size(width=64, height=64),
        native_size=Size(width=64, height=64),
        guidance=7.0,
        extras=(("style", "flat"), ("weight", 0.1)),
    )
    asset = Asset(
        id=hashlib.sha256(file).hexdigest(),
        workspace=workspace,
        media_type="image/png",
        bytes=len(file),
        size=recipe.size,
        pixel_digest=hashlib.sha256(b"pixels of " + file).hexdigest(),
        created=created or START + timedelta(seconds=number),
        created_by="local",
        parents=tuple(Parent(asset=one.id, relation=Relation.INIT) for one in parents),
        recipe=recipe,
        environment=ENVIRONMENT,
        seconds=0.1 + number,
    )
    return asset, file
