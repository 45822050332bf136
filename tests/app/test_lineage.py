"""Lineages are followed as far as anyone wants to see, however long they are."""

import sys
from hashlib import sha256
from pathlib import Path

from limner.app.lineage import Relative
from limner.app.settings import Settings
from limner.domain.asset import Parent, Relation
from tests.fakes import fake_desk

GENERATIONS = 230


def test_a_long_line_is_cut_and_says_so(tmp_path: Path) -> None:
    assert sys.getrecursionlimit() > GENERATIONS
    with fake_desk(Settings(home=tmp_path)) as desk:
        (made,) = desk.generate("a fox", seed=1)
        line = [made.asset]
        for number in range(GENERATIONS):
            parents = (Parent(asset=line[-1].id, relation=Relation.INIT),)
            content = made.file + b"%d" % number
            digest = sha256(content).hexdigest()
            changed = {"id": digest, "bytes": len(content), "parents": parents}
            line.append(desk.studio.library.keep(made.asset.model_copy(update=changed), content))
        found = desk.lineage(line[-1])
        walked: list[Relative] = []
        while found.ancestors if not walked else walked[-1].relatives:
            walked.append((found.ancestors if not walked else walked[-1].relatives)[0])
        assert [one.id for one in walked] == [one.id for one in line[-2:-202:-1]]
        assert [one.cut for one in walked] == [False] * 199 + [True]
        assert not any(one.cut for one in desk.lineage(line[200]).ancestors)
