"""The fields of a connected account, and which of them may be meant by the custom schema."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from sync_pipelines.cli.printing import print_json, say, table

if TYPE_CHECKING:
    from sync_pipelines.model.provider import VendorField

MOST_CHOICES = 6
"""So many choices of a field are shown in a line."""

Customer = Annotated[str, typer.Argument(help="The customer's id")]
Provider = Annotated[str, typer.Argument(help="The provider's name")]
ObjectName = Annotated[str, typer.Argument(metavar="OBJECT", help="The object, by any of its names")]


def register(app: typer.Typer) -> None:
    app.command("fields")(fields)


def fields(
    customer: Customer,
    provider: Provider,
    object_name: ObjectName,
    search: Annotated[str, typer.Option("--search", "-s", help="Only fields with this in name or label.")] = "",
    custom: Annotated[bool, typer.Option("--custom", help="Only the customer's own fields.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs, all choices included.")] = False,
) -> None:
    """The fields that a customer's account has: name, label, type, choices, and whether they can be read."""
    from sync_pipelines.project import opened

    with opened(with_store=True) as project:
        connection = project.store.connections.get(customer, provider)
        schema = project.describe(connection, object_name)
    word = search.casefold()
    shown = [
        (each, readable)
        for each, readable in schema.catalogue
        if word in f"{each.name} {each.label}".casefold() and (each.custom or not custom)
    ]
    if as_json:
        print_json([_as_json(each, readable) for each, readable in shown])
        return
    table(
        f"Fields of {customer}, {provider} {object_name}",
        ("field", "label", "type", "vendor's type", "custom", "readable", "choices"),
        (
            (
                each.name,
                each.label,
                each.type,
                f"{each.vendor_type}{', calculated' if each.calculated else ''}",
                "yes" if each.custom else "",
                "yes" if readable else "no",
                _choices(each),
            )
            for each, readable in shown
        ),
    )
    say(f"{len(shown)} of {len(schema.fields) + len(schema.unreadable)} fields.")


def _choices(field: "VendorField") -> str:
    more = len(field.choices) - MOST_CHOICES
    return ", ".join(field.choices[:MOST_CHOICES]) + (f" and {more} more" if more > 0 else "")


def _as_json(field: "VendorField", readable: bool) -> dict[str, Any]:
    return {
        "name": field.name,
        "label": field.label,
        "type": field.type,
        "vendor_type": field.vendor_type,
        "custom": field.custom,
        "calculated": field.calculated,
        "readable": readable,
        "choices": list(field.choices),
    }
