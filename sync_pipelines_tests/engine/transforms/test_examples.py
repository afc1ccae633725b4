"""Every transform's examples, which are the table in docs/transforms.md, really give what is printed."""

import pytest

from sync_pipelines.engine.transforms import KINDS, compile_transforms
from sync_pipelines.engine.transforms.personal import EXAMPLE_KEY
from sync_pipelines.model.mapping import Transform
from sync_pipelines.model.secret import Secret

EXAMPLES = [(kind, example) for kind in KINDS.values() for example in kind.examples]


@pytest.mark.parametrize(("kind", "example"), EXAMPLES, ids=[kind.name for kind, _ in EXAMPLES])
def test_an_example_gives_what_is_printed(kind, example):
    compiled = compile_transforms(
        [Transform(name=kind.name, options=example.options)], example.sources, hash_key=Secret(EXAMPLE_KEY)
    )
    columns = [[value] * 3 for value in example.values]
    assert compiled.value(*example.values) == example.gives
    assert list(compiled.column(columns)) == [example.gives] * 3
    assert compiled.each(columns) == [example.gives] * 3


def test_every_transform_has_an_example_and_a_description():
    assert [kind.name for kind in KINDS.values() if not kind.examples or not kind.told] == []
