import pytest

from sync_pipelines_tests.chaos.scene import made_scene


@pytest.fixture(scope="package")
def whole_scene(tmp_path_factory):
    """One stage for every scenario: a start costs half a minute."""
    with made_scene(tmp_path_factory.mktemp("chaos")) as made:
        yield made


@pytest.fixture
def scene(whole_scene):
    """The stage, at rest and correct before the scenario and after it."""
    yield whole_scene
    whole_scene.control.clear_faults()
