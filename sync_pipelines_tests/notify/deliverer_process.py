"""A deliverer in a process of its own, to be killed: its settings come from the environment, as in production."""

import sys
import threading

from sync_pipelines.notify.delivering import deliver_until
from sync_pipelines.settings import read_settings
from sync_pipelines.store import Store


class Place:
    def __init__(self):
        self.settings = read_settings()
        self.store = Store(self.settings.require_store_url(), self.settings.key_ring)


if __name__ == "__main__":
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    deliver_until(Place(), threading.Event())
