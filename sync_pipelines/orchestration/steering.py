"""A job whose launchpad steers syncs: trigger, pause, resume, cancel, archive, restore."""

from enum import Enum
from typing import Final

import dagster as dg
from pydantic import Field

from sync_pipelines.orchestration.resources import SyncProject
from sync_pipelines.project import Project

STEERING_JOB: Final = "steer_a_sync"


class Action(Enum):
    """What to do with a sync; the names are those of the CLI's verbs."""

    TRIGGER = "trigger"
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    ARCHIVE = "archive"
    RESTORE = "restore"


class Steering(dg.Config):
    """What the launchpad asks for."""

    sync: str = Field(description="Name of the sync in syncs/")
    action: Action = Field(description="trigger, pause, resume, cancel, archive or restore")
    customers: list[str] = Field(default_factory=list, description="Only these; empty: all. Not for archive, restore")
    objects: list[str] = Field(default_factory=list, description="For trigger: only these; empty: all")
    full: bool = Field(default=False, description="For trigger: read everything again")
    reason: str = Field(default="", description="For pause and archive: why, for whoever looks at it later")


@dg.op(
    name="steer", description="Changes what a sync does next. The runs of a trigger follow at the sensor's next look."
)
def steer(context: dg.OpExecutionContext, config: Steering, sync_project: SyncProject) -> None:
    project = sync_project.open()
    project.store.check_current()
    project.plan(config.sync)
    context.log.info(act(project, config))


@dg.job(
    name=STEERING_JOB,
    description="Trigger, pause, resume, cancel, archive or restore a sync: choose in the launchpad.",
    executor_def=dg.in_process_executor,
)
def steering_job() -> None:
    steer()


def act(project: Project, wanted: Steering) -> str:
    """Does it; the answer tells what was done. ConfigurationError where a sync or a customer is not known."""
    lifecycle, name, customers = project.store.lifecycle, wanted.sync, wanted.customers or None
    match wanted.action:
        case Action.PAUSE:
            paused = lifecycle.pause(name, customers, reason=wanted.reason, actor="dagster")
            return f"{name} is paused for {len(paused)} connections."
        case Action.RESUME:
            done = lifecycle.resume(name, customers, actor="dagster")
            going = len(done.customers) - len(done.still_paused)
            return f"{name} goes on for {going} connections; {len(done.still_paused)} stay paused."
        case Action.CANCEL:
            stopping = lifecycle.cancel(name, customers, actor="dagster")
            return f"{len(stopping)} connections of {name} are asked to stop at their next checkpoint."
        case Action.ARCHIVE:
            lifecycle.archive(name, reason=wanted.reason, actor="dagster")
            return f"{name} is archived."
        case Action.RESTORE:
            lifecycle.restore(name, actor="dagster")
            return f"{name} is active again."
        case Action.TRIGGER:
            lifecycle.refuse_archived(name)
            objects = [project.declared(name, each).object for each in wanted.objects]
            asked = project.store.due.request(name, customers, objects, wanted.full, actor="dagster")
            return f"{name} is due for {len(asked)} connections."
