"""Whether there is memory for a picture beside what a model holds, asked before it is drawn."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import NoReturn

from limner.domain.errors import OutOfMemory
from limner.domain.recipe import Recipe
from limner.families.diffusion.loading.hardware import machine_here
from limner.families.diffusion.loading.ways import Loaded, weigh
from limner.families.diffusion.planning.activations import Work
from limner.families.diffusion.planning.demand import (
    Demand,
    DeviceKind,
    Machine,
    Way,
    demand_of,
)
from limner.families.diffusion.planning.planner import (
    fits,
    is_hopeless,
    lacking,
    plans,
    refusal_beside,
)
from limner.families.family import Order, Outgrown, Placement


class Room:
    """The memory around a loaded model, which was planned for its first picture alone.

    `work_of` returns what drawing that many pictures of a Recipe at once is.
    """

    def __init__(
        self, loaded: Loaded, placement: Placement, work_of: Callable[[Recipe, int], Work]
    ) -> None:
        self._parts, self._way = loaded.parts, loaded.way
        self._kind: DeviceKind = machine_here().device
        self._make_room = placement.make_room
        self._work_of = work_of
        self._proven = 0

    def way_for(self, orders: Sequence[Order], holding: Collection[str]) -> Way:
        """Make room for orders drawn at once, and return the way to draw: in tiles, maybe.

        `holding` are the digests of what took part before and is still in memory. Where far more
        is lacking than predictions err by, raises Outgrown if the model would fit loaded anew,
        else OutOfMemory: on a CPU alone, where the system would end the whole process.
        """
        work = self._work_of(orders[0].recipe, len(orders))
        beside = self._joining(orders[0], holding)
        tiled = replace(self._way, tiling=True)
        whole = self._demand(work, self._way).more + beside
        least = min(whole, self._demand(work, tiled).more + beside)
        machine = machine_here()
        if not self._suffices(whole, machine):
            self._make_room(lacking(whole, machine))
            machine = machine_here()
        if self._suffices(whole, machine):
            self._proven = max(self._proven, whole)
            return self._way
        if self._kind == "cpu" and is_hopeless(least, machine):
            self._refuse(work, least, beside, machine)
        # A GPU that runs out can be tried again; nothing is lost by trying without tiles.
        helps = least < whole and (self._kind == "cpu" or not lacking(least, machine))
        return tiled if helps else self._way

    def _refuse(self, work: Work, needed: int, beside: int, machine: Machine) -> NoReturn:
        mine = self._demand(work, self._way).held
        anew = replace(machine, memory=max(0, machine.memory + mine - beside))
        if any(fits(plan, anew) for plan in plans(self._parts, work, anew)):
            raise Outgrown

        def suits(less: Work) -> bool:
            demand = self._demand(less, replace(self._way, tiling=True))
            return not lacking(demand.more + beside, machine)

        raise OutOfMemory(refusal_beside(work, needed, machine, suits))

    def _suffices(self, needed: int, machine: Machine) -> bool:
        """Whether there is memory, with a margin but for what was drawn before.

        Some of what a picture takes stays with the C library for the next: one like it must not
        seem to fit no more.
        """
        return not lacking(needed, machine) or needed <= min(self._proven, machine.memory)

    def _demand(self, work: Work, way: Way) -> Demand:
        return demand_of(self._parts, work, self._kind, way)

    def _joining(self, order: Order, holding: Collection[str]) -> int:
        """Return the bytes that what takes part in an order, and is not held yet, will take."""
        joining = (files for digest, files in order.parts.items() if digest not in holding)
        return weigh((path for files in joining for path in files.values()), self._way.dtype)
