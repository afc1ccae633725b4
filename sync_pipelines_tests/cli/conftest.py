from sync_pipelines_tests.orchestration.conftest import batching, postgres_instance

__all__ = ["batching", "postgres_instance"]
