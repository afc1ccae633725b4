"""python -m sync_pipelines.sandbox: the invented CRMs as a process of their own."""

import argparse
import asyncio
import sys
from pathlib import Path

from sync_pipelines.sandbox.clock import parse
from sync_pipelines.sandbox.serving import READY, address, server_for
from sync_pipelines.sandbox.world import Recipe, World

_EXAMPLES = """
examples:
  python -m sync_pipelines.sandbox                               records in memory, a free port
  python -m sync_pipelines.sandbox --folder .sandbox --port 4010 records kept in .sandbox/world.sqlite
  python -m sync_pipelines.sandbox --folder big --scale 50       about a million records

Salesforce accounts: login URL {url}/salesforce/login, API URL {url}/salesforce/<org id>
HubSpot accounts:    login and API URL {url}/hubspot
Who there is, with tokens: GET {url}/_sandbox/accounts. Faults by name: GET {url}/_sandbox/faults.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run until interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m sync_pipelines.sandbox",
        description="Stands in for Salesforce and HubSpot over real HTTP on 127.0.0.1, with invented customers.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--folder", type=Path, help="where the records are kept; without it in memory")
    parser.add_argument("--port", type=int, default=0, help="0 (default): the system chooses; it is printed when ready")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other records (default 1)")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="times the demo's sizes, about 20,000 records (default 1)"
    )
    parser.add_argument(
        "--customers", type=int, default=6, help="how many accounts; above 6 numbered copies (default 6)"
    )
    parser.add_argument("--epoch", help="the vendors' now at the beginning, ISO 8601 (default: the real time)")
    wish = parser.parse_args(arguments)
    recipe = Recipe(
        seed=wish.seed,
        scale=wish.scale,
        customers=wish.customers,
        epoch=None if wish.epoch is None else parse(wish.epoch),
    )
    world = World(wish.folder, recipe)
    server, listening = server_for(world, wish.port)
    sys.stdout.write(f"{READY}{address(listening)}\n")
    sys.stdout.flush()
    try:
        asyncio.run(server.serve([listening]))
    except KeyboardInterrupt:
        return 0
    finally:
        listening.close()
        world.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
