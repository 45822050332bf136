"""A ComfyUI graph as the API takes it: nodes by id, whose inputs are values or links."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from limner.provenance.foreign.settings import Table

_MOST_NODES = 5_000
_MOST_STEPS = 2_000
"""The most nodes that one walk visits."""

_VALUES = (
    "value", "seed", "noise_seed", "int", "float", "number", "string", "text", "Value", "Number",
    "model_name", "ckpt_name", "sampler_name", "scheduler",
)  # fmt: skip
"""The inputs by which nodes that only hold a value hold it."""


@dataclass(frozen=True)
class Node:
    """One node: its class, and its inputs by name."""

    id: str
    kind: str
    inputs: Table = field(hash=False)


class Graph:
    """The nodes of a graph, and ways to walk up from one to those it takes from."""

    def __init__(self, nodes: dict[str, Node]) -> None:
        self.nodes = nodes

    @classmethod
    def read(cls, table: Table) -> "Graph | None":
        """Read the JSON object that the API takes; None where it is none."""
        nodes: dict[str, Node] = {}
        for name, node in list(table.items())[:_MOST_NODES]:
            if not isinstance(node, dict):
                continue
            kind, inputs = node.get("class_type"), node.get("inputs")
            if isinstance(kind, str) and isinstance(inputs, dict):
                nodes[name] = Node(name, kind, inputs)
        return cls(nodes) if nodes else None

    def behind(self, value: object) -> Node | None:
        """Return the node that a value links to, None for a value that is no link."""
        if not isinstance(value, list) or len(value) != 2:
            return None
        return self.nodes.get(str(value[0])) if isinstance(value[0], str | int) else None

    def value(self, node: Node, name: str) -> Any:
        """Return the value of an input, through nodes that only hold one; None where unknown."""
        value = node.inputs.get(name)
        for _ in range(20):
            holder = self.behind(value)
            if holder is None:
                return None if isinstance(value, list | dict) else value
            known = (one for one in (name, *_VALUES) if one in holder.inputs)
            value = holder.inputs.get(next(known, ""))
        return None

    def upstream(self, start: Node, through: Callable[[str], bool]) -> Iterator[Node]:
        """Yield a node and all it takes from, nearest first, along inputs of fitting names."""
        waiting, met = [start], {start.id}
        while waiting and len(met) < _MOST_STEPS:
            node = waiting.pop(0)
            yield node
            for name, value in node.inputs.items():
                behind = self.behind(value)
                if behind is not None and behind.id not in met and through(name):
                    met.add(behind.id)
                    waiting.append(behind)

    def has(self, start: Node, names: tuple[str, ...], through: Callable[[str], bool]) -> bool:
        """Whether a node, or one it takes from, has an input of one of these names."""
        nodes = self.upstream(start, through)
        return any(name in node.inputs for node in nodes for name in names)

    def first(self, start: Node, names: tuple[str, ...], through: Callable[[str], bool]) -> Any:
        """Return the value of the nearest input that has one of these names, None if none has."""
        for node in self.upstream(start, through):
            for name in names:
                if name in node.inputs:
                    value = self.value(node, name)
                    if value is not None:
                        return value
        return None
