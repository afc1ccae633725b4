"""Why a cell of a destination's table holds what it holds, or why a record has no row."""

from sync_pipelines.explain.explaining import explain as explain
