"""What happens in the middle of a run, at one of the steps that it passes."""

from dataclasses import dataclass

from sync_pipelines_tests.simulation.process import Process
from sync_pipelines_tests.simulation.story import Broken, PowerCut, outcome

IN_TRANSACTION = (
    "load.fenced",
    "load.keys_sent",
    "load.staged",
    "load.upserted",
    "load.checkpointed",
    "delete.marked",
    "delete.checkpointed",
)
BETWEEN = (
    "described",
    "destination.opened",
    "page.read",
    "chunk.ready",
    "load.committed",
    "chunk.stored",
    "full.complete",
    "delete.committed",
    "full.deleted",
)
STEPS = (*BETWEEN, *IN_TRANSACTION)
REMAPPING = ("backfill.ready", "remap.fenced", "remap.updated", "remap.committed", "backfill.stored")
EVENTS = {
    "power cut": 34,
    "records change": 24,
    "destination cut": 12,
    "store cut": 8,
    "second run": 10,
    "second run after store cut": 4,
    "time passes": 5,
    "tokens expire": 3,
    "vendor breaks": 6,
    "stop": 2,
    "cancel": 2,
}
FIRST_ONES = ("load.committed", "chunk.stored", "page.read", "full.complete", "delete.checkpointed")
"""Where most lies behind and before a run, so chosen more often."""


@dataclass(frozen=True)
class Event:
    """Something that happens when a step is passed for the n-th time (from 0) in a run."""

    step: str
    passing: int
    name: str

    def __str__(self):
        return f"{self.name} at {self.step} {self.passing}"


def drawn_event(rng):
    name = rng.choices(list(EVENTS), weights=list(EVENTS.values()))[0]
    alone = name in ("second run after store cut", "store cut")
    step = rng.choice(BETWEEN if alone else (*STEPS, *FIRST_ONES))
    return Event(step, rng.choice((0, 0, 0, 0, 1, 1, 2, 3)), name)


def drawn_remapping_event(rng):
    """One that comes while columns of stored rows are made anew, if they are."""
    name = rng.choice(("power cut", "power cut", "destination cut", "records change", "second run", "stop"))
    return Event(rng.choice(REMAPPING), rng.choice((0, 0, 1, 2)), name)


class Happenings:
    """The events of one run: called at each of its steps."""

    def __init__(self, life, events):
        self._life = life
        self._events = list(events)
        self.steps = 0
        self.others_worked = False
        self.store_was_cut = False
        self.stopped = False

    def __call__(self, step, passing):
        self.steps += 1
        due = [event for event in self._events if (event.step, event.passing) == (step, passing)]
        for event in due:
            self._life.story.act(f"event: {event.name}", f"  at {step} {passing}: {event.name}")
            self._life.story.depth += 1
            try:
                getattr(self, "_" + event.name.replace(" ", "_"))()
            finally:
                self._life.story.depth -= 1

    def _power_cut(self):
        # Nothing of what the engine still does on its way out may reach a server.
        self._life.ground.cut_lines(self._life.ground.store_name, self._life.ground.warehouse_name)
        raise PowerCut

    def _records_change(self):
        self._life.change_records()

    def _destination_cut(self):
        self._life.ground.cut_lines(self._life.ground.warehouse_name)

    def _store_cut(self):
        self.store_was_cut = True
        self._life.ground.cut_lines(self._life.ground.store_name)

    def _second_run(self):
        """By another process, which must find the lease taken."""
        run = self._other_run()
        if run.status != "skipped" and not self.store_was_cut:
            raise Broken(f"the work was done twice at once: {outcome(run)}")

    def _second_run_after_store_cut(self):
        """With the store's session the lease has gone, so both may work: the fence in the destination decides."""
        self._store_cut()
        self._other_run()

    def _other_run(self):
        life = self._life
        other = Process(life.ground, life.times, life.setup)
        try:
            run = other.sync()
        finally:
            other.end()
        self.others_worked = self.others_worked or run.status != "skipped"
        life.story.tell(f"  the other: {outcome(run)}")
        return run

    def _time_passes(self):
        self._life.let_time_pass()

    def _tokens_expire(self):
        self._life.expire_tokens()

    def _vendor_breaks(self):
        self._life.break_vendor()

    def _stop(self):
        self.stopped = True
        self._life.process.project.stops.set()

    def _cancel(self):
        self.stopped = True
        self._life.process.project.stops.cancel(self._life.setup.customer)
