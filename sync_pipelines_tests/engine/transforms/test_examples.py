"""Every transform's examples, which are the table in docs/transforms.md, really give what is printed."""

from decimal import Decimal

import pytest

from sync_pipelines import own_transforms
from sync_pipelines.engine.transforms import KINDS, compile_transforms
from sync_pipelines.engine.transforms.personal import EXAMPLE_KEY
from sync_pipelines.model.mapping import Transform
from sync_pipelines.model.secret import Secret
from sync_pipelines_tests.engine.transforms import page

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


def test_the_page_shows_all_of_them():
    text = page.PAGE.read_text()
    assert text == page.page_with(text, page.generated()), (
        f"write it anew with `python -m {page.__name__}`, which a change of transforms needs"
    )


def test_the_own_transforms_of_the_page_work(tmp_path, monkeypatch):
    code = next(part for part in page.PAGE.read_text().split("```") if part.startswith("python\n"))
    for name, empty in (("_registered", {}), ("_folders", []), ("_loaded", set())):
        monkeypatch.setattr(own_transforms, name, empty)
    (tmp_path / "ours.py").write_text(code.removeprefix("python\n"))
    own_transforms.look_in(tmp_path)
    quarter = compile_transforms([Transform(name="fiscal_quarter", options={"first_month": 4})], 1)
    assert quarter.each([["2026-03-31", "2026-04-01", None]]) == ["Q4", "Q1", None]
    weighted = compile_transforms([Transform(name="weighted")], ["Amount", "Probability"])
    assert weighted.value(Decimal("250.50"), 40) == Decimal("100.2")
