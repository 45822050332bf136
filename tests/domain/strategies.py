"""Any Draft and Recipe that the types allow."""

from hypothesis import strategies as st

from limner.domain.composition import Box, Control, ControlKind, Purpose, Reference, Region
from limner.domain.recipe import (
    MAX_SEED,
    AdapterRef,
    Draft,
    Extra,
    FileFormat,
    InputRole,
    ModelRef,
    Recipe,
    RecipeInput,
    Size,
    Task,
)

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
HEX = st.text("0123456789abcdef", min_size=64, max_size=64)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
WHOLE = st.integers(-(2**53), 2**53)
SIDES = st.integers(1, 65_535)
SIZES = st.builds(Size, width=SIDES, height=SIDES)
SEEDS = st.integers(0, MAX_SEED)
MODELS = st.builds(ModelRef, name=WORDS, sha256=HEX)
ADAPTERS = st.builds(
    AdapterRef,
    name=WORDS,
    sha256=HEX,
    weight=st.floats(-10, 10),
    text_weight=st.none() | st.floats(-10, 10),
)
INPUTS = st.builds(
    RecipeInput,
    asset=HEX,
    role=st.sampled_from(InputRole),
    strength=st.none() | st.floats(0, 1),
)
WEIGHTS = st.floats(0, 2)
STEERED = {"asset": HEX, "kind": st.sampled_from(ControlKind), "prepared": st.booleans()}
SPANS = {"weight": WEIGHTS, "start": st.floats(0, 0.5), "end": st.floats(0.6, 1)}
CONTROLS = st.builds(
    Control, **STEERED, **SPANS, model=st.none() | MODELS, preparer=st.none() | MODELS
)
PURPOSES = st.sampled_from(Purpose)
REFERENCES = st.builds(
    Reference, asset=HEX, purpose=PURPOSES, weight=WEIGHTS, model=st.none() | MODELS
)
LOW, HIGH = st.floats(0, 0.5), st.floats(0.6, 1)
BOXES = st.builds(Box, left=LOW, top=LOW, right=HIGH, bottom=HIGH)
REGIONS = st.builds(
    Region, prompt=st.just("a fox"), weight=WEIGHTS, box=BOXES, mask=st.none()
) | st.builds(Region, prompt=st.just("a fox"), mask=HEX)
VALUES: st.SearchStrategy[Extra] = st.booleans() | WHOLE | FLOATS | WORDS
EXTRAS = st.dictionaries(WORDS, VALUES, max_size=4).map(lambda pairs: tuple(pairs.items()))

DRAFTS = st.builds(
    Draft,
    task=st.sampled_from(Task),
    model=st.none() | WORDS,
    prompt=WORDS,
    negative_prompt=WORDS,
    seed=st.none() | SEEDS,
    size=st.none() | SIZES,
    steps=st.none() | WHOLE,
    guidance=st.none() | FLOATS,
    sampler=st.none() | WORDS,
    schedule=st.none() | WORDS,
    inputs=st.lists(INPUTS, max_size=2).map(tuple),
    transparent=st.none() | st.booleans(),
    format=st.none() | st.sampled_from(FileFormat),
    upscaler=st.none() | WORDS,
    extras=EXTRAS,
)
RECIPES = st.builds(
    Recipe,
    task=st.sampled_from(Task),
    model=MODELS,
    adapters=st.lists(ADAPTERS, max_size=2).map(tuple),
    prompt=WORDS,
    negative_prompt=WORDS,
    seed=SEEDS,
    size=SIZES,
    native_size=SIZES,
    steps=st.none() | WHOLE,
    guidance=st.none() | FLOATS,
    sampler=st.none() | WORDS,
    schedule=st.none() | WORDS,
    inputs=st.lists(INPUTS, max_size=2).map(tuple),
    controls=st.lists(CONTROLS, max_size=2).map(tuple),
    references=st.lists(REFERENCES, max_size=2).map(tuple),
    layout=st.lists(REGIONS, max_size=2).map(tuple),
    transparent=st.booleans(),
    format=st.sampled_from(FileFormat),
    upscaler=st.none() | MODELS,
    extras=EXTRAS,
)
