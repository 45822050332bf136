"""A diffusion model in memory: draws Recipes by calling pipelines of diffusers."""

import gc
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from limner.domain.errors import InvalidOption
from limner.domain.event import Happening, Notice
from limner.domain.recipe import AdapterRef, InputRole, Recipe, Task
from limner.families.diffusion.adapters.wearing import Wearing, Worn, put_on
from limner.families.diffusion.calls.arguments import (
    OWN,
    Manner,
    arguments_of,
    negative_of,
    takes,
    to_pixels,
)
from limner.families.diffusion.calls.conditioning import Conditioning, condition
from limner.families.diffusion.calls.memo import Answers, Memo, manner_of
from limner.families.diffusion.composition.nets import Nets
from limner.families.diffusion.composition.references import Redux, Spectacles, shown
from limner.families.diffusion.composition.regions import Told, laid_out, told
from limner.families.diffusion.composition.seeing import Eyes
from limner.families.diffusion.composition.steering import Steering, steering_of
from limner.families.diffusion.drawing.batches import batches
from limner.families.diffusion.drawing.easing import Ease, eased, eases, named
from limner.families.diffusion.drawing.extras import clip_skip_of, guidance_of, profile_of
from limner.families.diffusion.drawing.following import Follower
from limner.families.diffusion.drawing.previews import LatentMap, fit_map
from limner.families.diffusion.drawing.profiles import Profile, Tuning
from limner.families.diffusion.drawing.tiny_decoder import TinyDecoder, read_tiny_decoder
from limner.families.diffusion.loading.pipelines import (
    Device,
    Libraries,
    bytes_in,
    libraries,
    memory_told,
    parts_of,
    quiet,
)
from limner.families.diffusion.loading.room import Room
from limner.families.diffusion.loading.ways import LOSSY
from limner.families.diffusion.planning.demand import Way
from limner.families.diffusion.sampling.guidance import guided
from limner.families.diffusion.sampling.samplers import build, give_noise
from limner.families.family import Order, Pixels, Watch


@dataclass(frozen=True)
class Beside:
    """What is beside a model: whose parts it borrows, in words, its tiny decoder, and memory."""

    lent: str = ""
    tiny: Path | None = None
    room: Room | None = None


_NOTHING = Beside()


class DiffusionModel:
    """Draws orders one after the other; see `families.family.LoadedModel`.

    Each picture of the profile `exact` is what the pipeline itself draws, bit by bit. Fast ones
    are drawn at once on a GPU, and their last bits depend on each other; see `batches`.
    """

    def __init__(
        self,
        pipeline: Any,
        manner: Manner,
        device: Device,
        threads: int,
        way: Way | None = None,
        beside: Beside = _NOTHING,
    ) -> None:
        self._lent, self._room = beside.lent, beside.room
        self._manner = manner
        self._device = device
        self._threads = threads
        self._used: Libraries = libraries()
        self._eased: tuple[str, ...] = eased(way) if way else ()
        self._packed = LOSSY.get(way.quantisation, "") if way else ""
        self._worn: tuple[AdapterRef, ...] = ()
        self._wearing = Wearing()
        self._pipelines: dict[type, Any] = {}
        self._at_once, self._most = device.name != "cpu", 1
        self._answers, self._conditions = Answers(), Answers()
        self._first = self._pipelines[type(pipeline)] = self._eased_in(pipeline)
        own = pipeline.scheduler
        self._noise = {**own.config, "_class_name": type(own).__name__}
        # What stands there would be set back to defaults, also where the pipeline knew better.
        self._noise.pop("_use_default_values", None)
        self._tiny = beside.tiny
        self._map: LatentMap | TinyDecoder | None = None
        self._nets = Nets(pipeline, device)
        told = manner.references == "words"
        self._redux = Redux(pipeline, device) if told else None
        self._tuning = Tuning(pipeline, device.name)
        through = hasattr(pipeline, "unet") and hasattr(pipeline, "load_ip_adapter")
        self._spectacles = Spectacles(pipeline, device) if through else None
        self._eyes = Eyes(device)

    @property
    def bytes(self) -> int:
        """The bytes of memory that it holds now: its weights, and those that took part with it."""
        seeing = self._redux.bytes if self._redux else 0
        weights = bytes_in((*parts_of(self._first).values(), *self._nets.held))
        return weights + self._eyes.bytes + seeing

    @property
    def _holding(self) -> frozenset[str]:
        """The digests of what takes part with it and is in memory."""
        seeing = (*(self._spectacles.worn if self._spectacles else ()), *self._eyes.digests)
        told = (self._redux.digest,) if self._redux else ()
        worn = (one.sha256 for one in self._worn)
        return frozenset((*self._nets.digests, *worn, *seeing, *told))

    @property
    def libraries(self) -> tuple[tuple[str, str], ...]:
        """The libraries that decide its numbers."""
        return self._used.versions

    @property
    def dtype(self) -> str:
        """The number format it computes in."""
        return self._device.dtype

    @property
    def device(self) -> str:
        """Where it computes."""
        return self._device.name

    @property
    def fitting(self) -> str:
        """How it was made to fit into memory, whose parts it borrowed, and what attends."""
        packed = (f"weights in {self._packed}",) if self._packed else ()
        kernel = self._tuning.kernel
        attended = (f"attention by {kernel.strip('_')}",) if kernel else ()
        beside = (f"up to {self._most} pictures at once",) if self._most > 1 else ()
        return ", ".join((*filter(None, (self._lent,)), *packed, *self._eased, *attended, *beside))

    def perform(self, orders: Sequence[Order], watch: Watch) -> list[Pixels]:
        """Draw orders, one at a time but for those of fast profiles on a GPU; see `batches`."""
        if self._device.name == "cpu":
            self._used.torch.set_num_threads(self._threads)
        tell = _once(watch.tell)
        if self._packed:
            tell(
                Notice(
                    "packed_weights",
                    f"To fit into memory, weights are kept in {self._packed}: pictures differ a "
                    "little from those of the full weights.",
                )
            )
        self._most = 1
        drawn: list[Pixels] = []
        for start, some in batches(orders, lambda: self._at_once):
            drawn += self._fitted(some, Watch(tell, watch.token, watch.first + start))
        return drawn

    def close(self) -> None:
        """Give the memory back."""
        self._pipelines.clear()
        self._nets.close()
        self._eyes.close()
        self._forget_words()
        del self._first, self._tuning, self._spectacles, self._redux, self._wearing, self._map
        # Pipelines refer to themselves, by what stands before their methods and by hooks.
        gc.collect()
        if self._device.name == "cuda":
            self._used.torch.cuda.empty_cache()

    def _fitted(self, orders: Sequence[Order], watch: Watch) -> list[Pixels]:
        """Draw orders at once; where memory runs out, again in a way that takes less, if any."""
        wanted = eased(self._room.way_for(orders, self._holding)) if self._room else ()
        for ease in named(set(wanted) - set(self._eased)):
            self._ease(ease)
            watch.tell(Notice("less_memory", f"To fit into memory: {ease.what}."))
        if len(orders) > 1:
            try:
                return self._able(orders, watch)
            except MemoryError:
                self._at_once = False
            told = "Memory ran out; drawing the pictures one after the other."
            watch.tell(Notice("less_memory", told))
            return [
                self._fitted([order], Watch(watch.tell, watch.token, watch.first + place))[0]
                for place, order in enumerate(orders)
            ]
        for ease in eases(self._device.name, self._eased):
            try:
                return self._able(orders, watch)
            except MemoryError:
                told = f"Memory ran out; drawing again with {ease.what}."
            self._ease(ease)
            watch.tell(Notice("less_memory", told))
        return self._able(orders, watch)

    def _ease(self, ease: Ease) -> None:
        """Take less memory from now on, in every pipeline; what was done for speed is undone."""
        self._tuning.tune(Profile.EXACT, plain=False)
        for pipeline in self._pipelines.values():
            ease.apply(pipeline)
        self._eased = (*self._eased, ease.name)

    def _able(self, orders: Sequence[Order], watch: Watch) -> list[Pixels]:
        """Draw orders at once; where a fast path cannot be gone here, again without it."""
        try:
            return self._draw(orders, watch)
        except RuntimeError as error:
            if not self._tuning.forgoable:
                raise
            reason = str(error).strip().split("\n")[0][:200]
        self._tuning.forgo()
        told = f"This machine cannot draw as fast as was asked ({reason}); drawing without that."
        watch.tell(Notice("slower", told))
        return self._draw(orders, watch)

    def _draw(self, orders: Sequence[Order], watch: Watch) -> list[Pixels]:
        """Draw orders at once, which differ in words and seeds alone."""
        with memory_told(), quiet():
            return self._drawn(orders, watch)

    def _drawn(self, orders: Sequence[Order], watch: Watch) -> list[Pixels]:
        order, recipe = orders[0], orders[0].recipe
        watch.token.check()
        if _keeps(recipe):
            return [order.inputs[InputRole.INIT].copy()]
        self._tune(order)
        steering = steering_of(order, self._nets, self._eyes)
        pipeline = self._pipeline(recipe.task, steering)
        pipeline.scheduler = self._scheduler(recipe)
        asked = {
            **arguments_of(order, pipeline, self._manner.guidance),
            **steering.arguments(pipeline),
            **self._seen(order, pipeline),
        }
        regions = self._regions(order, pipeline, asked, watch)
        generators = [self._generator(one.recipe) for one in orders]
        generator = generators if len(generators) > 1 else generators[0]
        give_noise(pipeline.scheduler, generator)
        words = self._words([one.recipe for one in orders], pipeline, watch)
        if "prompt_embeds" in asked:
            words.pop("prompt", None)
        arguments = {
            **words,
            **asked,
            **self._following(pipeline, recipe, watch),
            "generator": generator,
        }
        guidance = guidance_of(recipe)
        way = nullcontext() if guidance is None else guided(pipeline, guidance)
        layout = laid_out(pipeline, regions, recipe.native_size)
        with layout, way, self._used.torch.random.fork_rng():
            # Stable Diffusion 3 takes the noise of its control from here, not from the generator.
            self._used.torch.manual_seed(recipe.seed)
            with steering.fitting():
                drawn = pipeline(**arguments).images
        self._most = max(self._most, len(orders))
        return [to_pixels(one) for one in drawn]

    def _tune(self, order: Order) -> None:
        """Put on and take off adapters, and what is done for speed, as a Recipe has it."""
        recipe = order.recipe
        seen = self._spectacles is not None and recipe.references
        plain = not (recipe.adapters or seen)
        if not plain:
            self._tuning.tune(profile_of(recipe), plain)
        self._wear(order)
        if self._spectacles is not None:
            self._spectacles.spare(order)
        if plain:
            self._tuning.tune(profile_of(recipe), plain)

    def _seen(self, order: Order, pipeline: Any) -> dict[str, Any]:
        """Return the arguments by which a pipeline sees the references of an order."""
        if self._redux is not None:
            return self._redux.look(order, self._manner.limit)
        if self._spectacles is None:
            return shown(order)
        guided = self._manner.guidance == "guidance_scale" and (order.recipe.guidance or 0) > 1
        return self._spectacles.look(order, guided and _is_guided(pipeline))

    def _generator(self, recipe: Recipe) -> Any:
        return self._used.torch.Generator("cpu").manual_seed(recipe.seed)

    def _regions(
        self, order: Order, pipeline: Any, asked: dict[str, Any], watch: Watch
    ) -> list[Told]:
        """Return the words of each region of a layout, as the denoiser is told them."""
        recipe, regions = order.recipe, []
        for region, mask in zip(recipe.layout, order.regions, strict=True):
            words = self._words(
                [recipe.model_copy(update={"prompt": region.prompt})], pipeline, watch
            )
            call = {**asked, **words, "generator": self._generator(recipe)}
            size = recipe.native_size
            regions.append(told(pipeline, partial(pipeline, **call), region, mask, size))
        return regions

    def _wear(self, order: Order) -> None:
        """Put on the adapters that a Recipe names, and take off all others."""
        wanted = order.recipe.adapters
        if wanted == self._worn:
            return
        if self._wearing.reads:
            self._forget_words()
        self._wearing.take_off()
        self._worn = ()
        if wanted:
            worn = [
                Worn(order.file_of(one.sha256), one.name, one.weight, one.text_weight)
                for one in wanted
            ]
            self._wearing = put_on(self._first, worn)
            self._worn = wanted
        if self._wearing.reads:
            self._forget_words()

    def _forget_words(self) -> None:
        """Forget what text encoders made of words: they are changing."""
        self._answers.forget()
        self._conditions.forget()

    def _words(self, recipes: Sequence[Recipe], pipeline: Any, watch: Watch) -> dict[str, Any]:
        """Return the arguments that hold the words, and tell what of them is not heard."""
        guidance, skip, limit = self._manner.guidance, clip_skip_of(recipes[0]), self._manner.limit
        said = [(one.prompt, negative_of(one, pipeline, guidance)) for one in recipes]
        times, said = (len(said), said[:1]) if len(set(said)) == 1 else (1, said)
        prompts, against = zip(*said, strict=True)
        key = (type(pipeline), prompts, against, limit, skip)
        heard: Conditioning = self._conditions.get(
            key, lambda: condition(pipeline, prompts, against, limit, skip)
        )
        for notice in heard.notices:
            watch.tell(notice)
        # A copy, for what is kept must not change with what one call leaves out.
        return {**heard.arguments, **({"num_images_per_prompt": times} if times > 1 else {})}

    def _pipeline(self, task: Task, steering: Steering) -> Any:
        """Return the pipeline that does a task; all share the parts in memory.

        One with ControlNets is put together for them each time, of parts that are there. Raises
        InvalidOption where there is none for these.
        """
        if not steering.nets:
            wanted = getattr(self._used.diffusers, self._manner.pipelines[task])
            if wanted not in self._pipelines:
                self._pipelines[wanted] = self._put_together(wanted)
            return self._pipelines[wanted]
        classes = self._manner.unions if steering.union else self._manner.controls
        if task not in classes:
            raise InvalidOption(f"No ControlNet of this kind goes with {task} here. Use another.")
        wanted = getattr(self._used.diffusers, classes[task])
        return self._put_together(wanted, controlnet=steering.controlnet)

    def _put_together(self, wanted: type, **more: Any) -> Any:
        return self._eased_in(wanted(**{**_parts_for(wanted, self._first), **more}))

    def _eased_in(self, pipeline: Any) -> Any:
        """Return a pipeline that answers from memory and takes as little as was decided."""
        pipeline.set_progress_bar_config(disable=True)
        # Some of the older pipelines, such as InstructPix2Pix, have it as their own affair.
        name = "encode_prompt" if hasattr(pipeline, "encode_prompt") else "_encode_prompt"
        encode = getattr(pipeline, name)
        setattr(pipeline, name, Memo(encode, self._answers, manner_of(pipeline)))
        for ease in named(self._eased):
            ease.apply(pipeline)
        return pipeline

    def _scheduler(self, recipe: Recipe) -> Any:
        """Return a scheduler of the model's own kind, or of the sampler and schedule asked for."""
        sampler, schedule = (
            None if one in (None, OWN) else one for one in (recipe.sampler, recipe.schedule)
        )
        return build(self._noise, sampler, schedule, self._manner.prediction)

    def _following(self, pipeline: Any, recipe: Recipe, watch: Watch) -> dict[str, Any]:
        """Return the argument by which a pipeline tells of its steps."""
        follower = Follower(self.latent_map, pipeline, recipe, watch)
        if "callback_on_step_end" in takes(pipeline):
            return {"callback_on_step_end": follower}
        return {"callback": follower.after, "callback_steps": 1}

    def latent_map(self) -> LatentMap | TinyDecoder:
        """Return what previews are made with: a tiny decoder, or a map fitted when first asked."""
        if self._map is None and self._tiny:
            self._map = read_tiny_decoder(self._tiny, self._device)
        if self._map is None:
            self._map = fit_map(self._first, self._used.torch)
        return self._map


def _once(tell: Callable[[Happening], None]) -> Callable[[Happening], None]:
    """Return `tell` without the notices that it has heard before."""
    heard: set[Happening] = set()

    def tell_once(happening: Happening) -> None:
        if not isinstance(happening, Notice):
            tell(happening)
        elif happening not in heard:
            heard.add(happening)
            tell(happening)

    return tell_once


def _keeps(recipe: Recipe) -> bool:
    """Whether nothing would be redrawn: so little strength that no step is left."""
    init = recipe.input(InputRole.INIT)
    strength = 1.0 if init is None or init.strength is None else init.strength
    return int((recipe.steps or 1) * strength) < 1


def _is_guided(pipeline: Any) -> bool:
    """Whether a pipeline asks for predictions without words at all: consistency models do not."""
    return getattr(pipeline.unet.config, "time_cond_proj_dim", None) is None


def _parts_for(wanted: type, pipeline: Any) -> dict[str, Any]:
    expected, optional = pipeline._get_signature_keys(wanted)  # noqa: SLF001 - none is public
    config = dict(pipeline.config)
    parts = {name: pipeline.components.get(name) for name in expected}
    return {**parts, **{name: config[name] for name in optional if name in config}}
