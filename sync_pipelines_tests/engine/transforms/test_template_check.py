"""A template that would fail for every record is refused when it is saved; stored ones go on as they did."""

import pytest

from sync_pipelines.engine.transforms import check_transforms, compile_transforms
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.mapping import Transform

NEVER = {
    "{{ value | upcase: 1, 2 }}": "the filter upcase arguments that do not fit: too many positional arguments",
    "{{ value | replace }}": "the filter replace arguments that do not fit: missing a required argument: 'old'",
    "{{ value | date }}": "the filter date arguments that do not fit: missing a required argument: 'to'",
    "{{ value | default: 'x', nonsense: true }}": "the filter default arguments that do not fit: got an unexpected",
    "{{ value | escape: environment: 1 }}": "the filter escape arguments that do not fit",
    "{% assign parts = value | split %}{{ parts }}": "the filter split arguments that do not fit",
    "{% if value %}{% echo value | strip | join: 1, 2 %}{% endif %}": "the filter join arguments that do not fit",
    "{{ value | date: '%Q' }}": "a format of a date that does not know %Q; it knows %%, %A",
    "{{ value | date: '" + "%Y" * 60 + "' }}": "a format of a date with more than 100 characters",
    "{{ value | round: 'x' }}": "the filter round 'x', which is not a plain number",
    "{{ value | truncate: 'x' }}": "the filter truncate 'x', which is not a plain number",
    "{% break %}": "{% break %} outside of a loop",
    "{{ value }}{% if value %}{% continue %}{% endif %}": "{% continue %} outside of a loop",
    "{% for part in value %}{{ part }}{% else %}{% break %}{% endfor %}": "{% break %} outside of a loop",
}
FITS = (
    "{% for part in value %}{% if part %}{% break %}{% else %}{% continue %}{% endif %}{% else %}none{% endfor %}",
    "{{ value | date: value }}{{ value | date: '%d.%m.%Y' }}",
    "{{ value | truncate: 5, '..' }}{{ value | round: '2' }}{{ value | slice: -3, 2 }}{{ value | escape }}",
    "{{ value | default: 'x', allow_false: true }}{{ value | first }}{{ value | where: 'a', 'b' }}",
)


def checked(template):
    transforms = [Transform(name="none"), Transform(name="template", options={"template": template})]
    check_transforms(transforms, ("Field",), "text", hash_key=None)


@pytest.mark.parametrize("template", NEVER)
def test_what_never_works_is_refused_with_the_reason(template):
    with pytest.raises(ConfigurationError) as refused:
        checked(template)
    assert str(refused.value).startswith("Transform 2, template: the template ")
    assert NEVER[template] in str(refused.value)
    compile_transforms([Transform(name="template", options={"template": template})], 1)


@pytest.mark.parametrize("template", FITS)
def test_what_may_work_is_taken(template):
    checked(template)
