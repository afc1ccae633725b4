"""What our processes say of themselves: one set-up, in text or JSON, with the fields of what is being done, and never
with a secret."""

from sync_pipelines.logs.fields import bound as bound
from sync_pipelines.logs.redaction import masked as masked
from sync_pipelines.logs.redaction import without_known as without_known
from sync_pipelines.logs.setup import configure as configure
from sync_pipelines.logs.setup import configure_server as configure_server
from sync_pipelines.logs.setup import know as know
