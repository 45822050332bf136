"""What a finished picture is sealed with: the workspace's rules, licences, sources, signer."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from limner.app.licences import terms_of
from limner.app.models import Models
from limner.domain.asset import Asset, Terms
from limner.domain.errors import SigningFailed, StorageFailed
from limner.domain.event import Happening, Notice
from limner.domain.policy import Policy
from limner.domain.recipe import Draft, FileFormat, InputRole, Recipe, Task
from limner.domain.workspace import Workspace
from limner.families.family import Pixels
from limner.provenance.intake import Picture, read_picture
from limner.provenance.label import check_label
from limner.provenance.manifest import Ingredient, ModelClaim
from limner.provenance.origin import made_by_model
from limner.provenance.rights import Rights, read_rights
from limner.provenance.seal import Sealed, SealTerms, said_of, seal
from limner.provenance.signing import Signer, Unstamped
from limner.store.library import Library


def disclosed(recipe: Recipe, draft: Draft, policy: Policy) -> Recipe:
    """Return a Recipe with the label and watermark that workspace and draft ask for.

    The label that a workspace asks for is on every picture; a draft may ask for one where the
    workspace does not. Raises InvalidOption for a language there is no label in, InvalidSize
    where a label could not be read.
    """
    language = policy.label.language if policy.label else draft.label
    if language is not None:
        check_label(recipe.size, language)
    marked = policy.watermark and recipe.format is not FileFormat.SVG
    masked = recipe.input(InputRole.MASK) is not None or recipe.task is Task.OUTPAINT
    return recipe.model_copy(update={"label": language, "watermark": marked and not masked})


@dataclass(frozen=True)
class Sealing:
    """Seals pictures of one workspace, as its rules say."""

    library: Library
    models: Models
    workspace: Workspace
    policy: Policy
    signer: Signer | None
    tell: Callable[[Happening], None]
    _silent: set[str] = field(default_factory=set)
    """Time authorities that did not answer; they are not asked again."""

    def seal(self, pixels: Pixels, recipe: Recipe) -> Sealed:
        """Return the sealed file of a finished picture; raises as `provenance.seal.seal` does.

        Where the time authority does not answer, it is signed without a stamp, and that is told:
        what is drawn is not lost.
        """
        signer = self.signer
        authority = signer.time_authority if signer else None
        if signer is None or authority is None:
            return self._sealed(pixels, recipe, signer)
        if authority not in self._silent:
            try:
                return self._sealed(pixels, recipe, signer)
            except SigningFailed:
                sealed = self._sealed(pixels, recipe, Unstamped(signer))
                self._silent.add(authority)
                self.tell(
                    Notice(
                        "unstamped",
                        f"The time authority {authority} gave no time stamp: pictures are signed "
                        "without one. Check its address in LIMNER_TIME_AUTHORITY.",
                    )
                )
                return sealed
        return self._sealed(pixels, recipe, Unstamped(signer))

    def _sealed(self, pixels: Pixels, recipe: Recipe, signer: Signer | None) -> Sealed:
        terms = SealTerms(
            signer=signer,
            detail=self.policy.detail,
            mining=self.policy.mining,
            models=tuple(self._claims(recipe)),
            ingredients=tuple(self._ingredients(recipe)),
            base=self._base(recipe),
            composite=self._is_composite(recipe),
            rights=self._rights(recipe),
        )
        return seal(pixels, recipe, terms)

    def terms(self, recipe: Recipe) -> tuple[Terms, ...]:
        """Return the licences of the models that drew a Recipe, as they stand now."""
        return terms_of(recipe, self.models)

    def kept_before(
        self, recipe: Recipe, sealed: Sealed, *, blurred: bool
    ) -> tuple[Asset, bytes] | None:
        """Return the asset that has the same picture and says the same of it, if there is one.

        Two signatures under the same words differ, and so would the files.
        """
        for asset in self.library.find_by_recipe(self.workspace, recipe.digest):
            if asset.pixel_digest == sealed.pixel_digest and asset.blurred is blurred:
                with suppress(StorageFailed):  # a damaged file is kept anew
                    file = self.library.read(self.workspace, asset.id)
                    if said_of(file) == said_of(sealed.file):
                        return asset, file
        return None

    def _claims(self, recipe: Recipe) -> Iterator[ModelClaim]:
        for ref in recipe.models:
            licence = self.models.card_of(ref).licence
            yield ModelClaim(ref.name, ref.sha256, licence.spdx)

    def _ingredients(self, recipe: Recipe) -> Iterator[Ingredient]:
        for picture, role in recipe.pictures:
            asset = self.library.get(self.workspace, picture)
            yield Ingredient(
                self.library.read(self.workspace, asset.id),
                asset.media_type,
                "parent" if role == InputRole.INIT else "component",
                role,
            )

    def _is_composite(self, recipe: Recipe) -> bool:
        """Whether the picture that was edited is anything but the work of a model."""
        init = recipe.input(InputRole.INIT)
        if init is None:
            return False
        asset = self.library.get(self.workspace, init.asset)
        return not made_by_model(self.library.read(self.workspace, asset.id), asset.media_type)

    def _rights(self, recipe: Recipe) -> Rights:
        """Return whose the picture is that was worked on; one drawn from words is nobody's."""
        init = recipe.input(InputRole.INIT)
        if init is None:
            return Rights()
        return read_rights(self.library.read(self.workspace, init.asset))

    def _base(self, recipe: Recipe) -> Picture | None:
        init = recipe.input(InputRole.INIT)
        if init is None:
            return None
        return read_picture(self.library.read(self.workspace, init.asset))
