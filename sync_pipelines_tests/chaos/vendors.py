"""The vendors as one process that can go away and come back with everything it knew."""

import threading

from sync_pipelines.sandbox.control import Control
from sync_pipelines.sandbox.serving import address, server_for
from sync_pipelines.sandbox.world import World


class Vendors:
    """The sandbox in a thread of this process. While it is `away` its port refuses connections."""

    def __init__(self, recipe):
        self.world = World(None, recipe)
        self._port = 0
        self.come_back()
        self.control = Control(f"http://127.0.0.1:{self._port}")
        self.control.wait_ready(60)

    def come_back(self):
        self._server, self._listening = server_for(self.world, self._port)
        self._port = int(address(self._listening).rsplit(":", 1)[1])
        self._thread = threading.Thread(target=self._server.run, args=([self._listening],), daemon=True)
        self._thread.start()

    def go_away(self):
        self._server.should_exit = True
        self._thread.join(30)
        assert not self._thread.is_alive()
        self._listening.close()

    def close(self):
        self.control.close()
        self.go_away()
        self.world.close()
