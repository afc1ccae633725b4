"""A small project on disk that loads, and ways to break it."""

import pytest

from sync_pipelines.config import ConfigurationProblems, load_configuration

ENVIRON = {"CLIENT_ID": "the-client-id", "CLIENT_SECRET": "the-client-secret", "PASSWORD": "the-password"}

WORKING = {
    "providers/salesforce.yaml": """\
provider_name: salesforce
oauth:
  client_id: ${CLIENT_ID}
  client_secret: ${CLIENT_SECRET}
""",
    "destinations/warehouse.yaml": """\
name: warehouse
type: postgres
credentials:
  host: db.example
  database: crm
  user: loader
  password: ${PASSWORD}
""",
    "syncs/crm.yaml": """\
name: crm
provider: salesforce
destination: warehouse
schedule: hourly
objects: [contact]
""",
}


class ProjectFolder:
    """Files of a configuration; `write` replaces some of the working ones, None removes one."""

    def __init__(self, path):
        self.path = path
        self.write(WORKING)

    def write(self, files):
        for name, text in files.items():
            file = self.path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                file.unlink()
            elif isinstance(text, bytes):
                file.write_bytes(text)
            else:
                file.write_text(text, encoding="utf-8")
        return self

    def load(self, environ=ENVIRON, **options):
        return load_configuration(self.path, environ, **options)

    def problems(self, environ=ENVIRON, **options):
        """Every problem as people see it, with the folder left out."""
        with pytest.raises(ConfigurationProblems) as caught:
            self.load(environ, **options)
        return [str(problem).replace(f"{self.path.as_posix()}/", "") for problem in caught.value.problems]


@pytest.fixture
def project_folder(tmp_path):
    return ProjectFolder(tmp_path / "syncs")
