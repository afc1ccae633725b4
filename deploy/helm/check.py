"""Renders Dagster's Helm chart with our values and checks what comes out: `make helm CHART=path`, no cluster needed.

1. Our values satisfy the chart's values.schema.json, and name nothing that the schema does not know: Helm would ignore
   a misspelt key without a word. The schema's references to a copy of Kubernetes' own on the web are left out: what
   they say is checked in 2, with a newer Kubernetes.
2. Every manifest is valid for Kubernetes, strictly: an unknown field is an error.
"""

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate
import yaml

HERE = Path(__file__).parent
RENDERED = HERE / ".rendered"
KUBERNETES = "1.37"
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "values.yaml": {},
    "values.yaml --set migrate.enabled=true": {"migrate": {"enabled": True}},
}


def main(given: Path) -> int:
    with tempfile.TemporaryDirectory() as folder:
        chart_folder = Path(shutil.copytree(given, Path(folder) / "chart"))
        for file in chart_folder.rglob("values.schema.json"):
            file.write_text(json.dumps(local(json.loads(file.read_text(encoding="utf-8")))), encoding="utf-8")
        return check(chart_folder, json.loads((given / "values.schema.json").read_text(encoding="utf-8")))


def local(node: Any) -> Any:
    """A schema without references to other hosts."""
    if isinstance(node, list):
        return [local(each) for each in node]
    if not isinstance(node, dict):
        return node
    return {key: local(value) for key, value in node.items() if not (key == "$ref" and str(value).startswith("http"))}


def check(chart_folder: Path, schema: Mapping[str, Any]) -> int:
    values = yaml.safe_load((HERE / "values.yaml").read_text(encoding="utf-8"))
    problems = [f"values.yaml: the chart knows no {path}" for path in unknown_keys(values, schema, schema)]
    with helm_python.Chart.load(str(chart_folder)) as chart:
        print(f"Chart {chart.name} {chart.version}, Kubernetes {KUBERNETES}")
        for variant, more in VARIANTS.items():
            wanted = {**values, **more}
            try:
                chart.validate_schema(wanted)
            except helm_python.errors.HelmValuesError as error:
                problems.append(f"{variant}: {error}")
                continue
            manifests = chart.render(wanted, name="syncs", namespace="syncs")
            found = list(documents(manifests))
            problems.extend(f"{variant}: {problem}" for document in found for problem in faults_of(*document))
            print(f"  {variant}: {len(found)} manifests")
            if not more:
                keep(manifests)
    for problem in problems:
        print(f"WRONG  {problem}")
    print("wrong" if problems else "equal to what chart and Kubernetes allow")
    return 1 if problems else 0


def documents(manifests: Mapping[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(template, manifest) of everything that would be applied."""
    for template, text in sorted(manifests.items()):
        if not template.endswith("NOTES.txt"):
            for document in yaml.safe_load_all(text):
                if document:
                    yield template, document


def faults_of(template: str, document: dict[str, Any]) -> Iterator[str]:
    try:
        kubernetes_validate.validate(document, KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as error:
        place = ".".join(str(part) for part in error.path)
        yield f"{template} {document.get('kind')} at {place or 'its top'}: {error.message[:300]}"


def unknown_keys(values: Any, node: Any, schema: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Paths of keys that no schema along the way names, as far as it says that it names them all."""
    branches = list(meanings(node, schema))
    if isinstance(values, list):
        items = [branch["items"] for branch in branches if isinstance(branch.get("items"), dict)]
        for place, value in enumerate(values):
            yield from unknown_keys(value, {"anyOf": items}, schema, f"{path}[{place}]")
    if not isinstance(values, dict):
        return
    if any(branch.get("additionalProperties") or branch.get("$ref", "").startswith("http") for branch in branches):
        return
    named = [branch["properties"] for branch in branches if branch.get("properties")]
    if not named:
        return
    for key, value in values.items():
        below = [properties[key] for properties in named if key in properties]
        if below:
            yield from unknown_keys(value, {"anyOf": below}, schema, f"{path}.{key}".lstrip("."))
        else:
            yield f"{path}.{key}".lstrip(".")


def meanings(node: Any, schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A schema node, with references inside this file followed and alternatives listed."""
    if not isinstance(node, dict):
        return
    reference = node.get("$ref", "")
    if reference.startswith("#/"):
        found: Any = schema
        for part in reference[2:].split("/"):
            found = found[part]
        yield from meanings(found, schema)
    for kind in ("anyOf", "allOf", "oneOf"):
        for branch in node.get(kind, ()):
            yield from meanings(branch, schema)
    yield node


def keep(manifests: Mapping[str, str]) -> None:
    """What was rendered, for a person to read."""
    for template, text in manifests.items():
        file = RENDERED / template
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2 or not (Path(sys.argv[1]) / "values.schema.json").is_file():
        sys.exit("Say where the unpacked chart is: make helm CHART=path (deploy/RUNBOOK.md says how to get it)")
    sys.exit(main(Path(sys.argv[1])))
