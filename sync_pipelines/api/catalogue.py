"""What the configuration declares beside syncs: providers and destinations. Their secrets are never shown."""

from fastapi import APIRouter

from sync_pipelines.api.access import SyncsReader, TheProject
from sync_pipelines.api.paging import Listed
from sync_pipelines.api.problems import answers
from sync_pipelines.api.shapes import DestinationShape, ProviderShape

router = APIRouter(tags=["configuration"])


@router.get("/providers", responses=answers())
def list_providers(project: TheProject, caller: SyncsReader) -> Listed[ProviderShape]:
    """Providers by name, with the objects that each can read."""
    configured = project.configuration.providers
    return Listed(
        items=[
            ProviderShape(
                name=name,
                provider_name=config.provider_name,
                auth_type=config.auth_type,
                category=config.category,
                objects=sorted(each.name for each in project.providers[name].objects),
            )
            for name, config in sorted(configured.items())
        ]
    )


@router.get("/destinations", responses=answers())
def list_destinations(project: TheProject, caller: SyncsReader) -> Listed[DestinationShape]:
    """Destinations by name. Where they are is not for customers."""
    caller.of_all()
    configured = project.configuration.destinations
    return Listed(items=[DestinationShape(name=name, type=each.type) for name, each in sorted(configured.items())])
