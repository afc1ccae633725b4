"""Changes that vendors tell reach files as they reach tables."""

import pytest
import yaml

from sync_pipelines_tests.destinations.reading_files import latest
from sync_pipelines_tests.fixtures.place import LUMEN


@pytest.fixture
def lake(living, tmp_path):
    folder = tmp_path / "lake"
    document = {"name": "lake", "type": "s3", "folder": str(folder)}
    (living.folder / "destinations" / "lake.yaml").write_text(yaml.safe_dump(document))
    living.write_sync(name="files", provider="hubspot", objects=["contact"], destination="lake")
    return folder


def test_what_is_told_is_in_the_latest_view_of_the_files(living, lake):
    lumen = living.connect_and_sync(LUMEN, "files")
    gone, first = (row["id"] for row in latest(lake)[:2])
    new = living.control.record(LUMEN, "contacts", fields={"lastname": "Okafor"})
    living.control.record(LUMEN, "contacts", id=first, fields={"lastname": "Moreau"})
    living.control.record(LUMEN, "contacts", id=gone, operation="delete")
    living.tell(lumen, "contact", new, first, gone)
    living.apply_all()
    rows = {row["id"]: row for row in latest(lake)}
    assert (rows[new]["last_name"], rows[first]["last_name"], rows[gone]["is_deleted"]) == ("Okafor", "Moreau", True)
    (run,) = living.place.sync(LUMEN, name="files", full=True)
    assert (run.status, run.counts.changed) == ("success", 0)
