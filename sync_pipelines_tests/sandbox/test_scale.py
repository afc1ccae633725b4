"""A large account is made and served page by page without being held in memory."""

import json
import subprocess
import sys

from .conftest import API

MANY = 100_000

PROGRAM = """
import json, re, sys
from pathlib import Path
import httpx
from sync_pipelines.sandbox.serving import serve
from sync_pipelines.sandbox.world import Recipe

folder, api, many = sys.argv[1:]
sizes = {"acme-robotics": {"User": 5, "Account": 50, "Contact": int(many)}}
with serve(Recipe(seed=2, epoch=1_790_000_000_000, sizes=sizes), folder=Path(folder)) as control:
    account = control.account("acme-robotics")
    headers = {"Authorization": f"Bearer {account.access_token}"}
    with httpx.Client(base_url=account.api_url, headers=headers, trust_env=False, timeout=60) as client:
        page = client.get(f"{api}/queryAll", params={"q": "SELECT Id, Name FROM Contact"}).json()
        ids, pages = set(), 1
        while True:
            ids.update(record["Id"] for record in page["records"])
            if page["done"]:
                break
            page = client.get(page["nextRecordsUrl"]).json()
            pages += 1
# Not ru_maxrss: that counts what the process was before it became this program.
peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
print(json.dumps({"records": len(ids), "pages": pages, "peak_megabytes": peak}))
"""


def test_a_hundred_thousand_records_are_made_and_paged_in_bounded_memory(tmp_path):
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), API, str(MANY)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert told["records"] == MANY
    assert told["pages"] == MANY // 2000
    assert told["peak_megabytes"] < 250
