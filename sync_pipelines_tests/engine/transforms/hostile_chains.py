"""What hostile.py tries beside single expressions: mappings of many fields, whose rules may have many steps."""

GROWING = [{"name": "text_to_array"}, {"name": "array_to_text", "separator": ";a" * 50}]
"""Fifty times as long each time."""
HEAVY = " + ".join(["left(replace(text(value), 'x', 'yy'), 1)"] * 9) + " + text(value)"
LISTS = "[" + ",".join(["value"] * 300) + "]"


def _custom(expression):
    return {"name": "custom", "expression": expression}


def _template(template):
    return {"name": "template", "template": template}


MAPPINGS = (
    (GROWING * 10, "s", 1),
    (GROWING * 10, "c", 100),
    ([_custom(LISTS)] * 20, "s", 1),
    ([_custom(LISTS)] * 3, "a", 100),
    ([_custom(f"length(text({LISTS}))")], "c", 100),
    ([_custom(f"[text({LISTS}), value][1]")] * 20, "b", 20),
    ([_custom(f"is_empty({LISTS})")] * 20, "c", 20),
    ([_custom("[" + ",".join(["1 in value"] * 80) + "][0]"), "none"] * 10, "c", 50),
    ([_custom("[" + ",".join(["value // 7 * 7 / 3"] * 35) + ", value][35]")] * 20, "b", 25),
    ([_custom(HEAVY)] * 20, "a", 10),
    ([_custom(HEAVY)] * 20, "a", 25),
    ([_custom("[" + ",".join(["title(value)"] * 20) + "][0]")] * 20, "z", 25),
    ([{"name": "calculation", "expression": " * ".join(["value"] * 2) + " / value"}] * 20, "n", 25),
    ([_template("{{ value | upcase | downcase }}")] * 20, "a", 25),
    ([_template("{% for i in value limit: 900 %}{{ i | upcase | size }}" + "x" * 100 + "{% endfor %}")] * 20, "c", 25),
    ([_template("{{ value | sort | uniq | reverse | compact | join }}")], "c", 100),
    (["text_to_array", "array_to_text"] * 10, "s", 200),
    (["array_to_text", "text_to_array"] * 10, "c", 100),
    (["mask"] * 20, "a", 25),
    ([{"name": "default_value", "value": "y" * 900_000}], "nothing", 200),
    ([{"name": "value_mapping", "values": {"x": "y"}, "otherwise": "default", "default": "y" * 90_000}], "a", 200),
    ([{"name": "date_to_iso", "from": [f"%d{sign}%m" for sign in "abcdefghij"]}] * 20, "s", 25),
    ([], "a", 1_000),
    ([], "c", 100),
    (["concatenate"], "a " * 99 + "a", 100),
    ([{"name": "concatenate", "separator": "x" * 100}, *GROWING], "s c", 100),
)
"""(transforms of a rule, the sources that it has, how many fields are mapped so)."""
