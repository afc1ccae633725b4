"""Run in the code server's container, beside the sandbox: connects the sandbox's customers, or compares every value."""

import sys

from sync_pipelines.cli.demo.crm import connect_customers
from sync_pipelines.cli.demo.verify import differences
from sync_pipelines.project import opened
from sync_pipelines.sandbox.control import Control

with Control("http://127.0.0.1:8710") as control, opened(with_store=True) as project:
    control.wait_ready(60)
    if sys.argv[1] == "connect":
        print(len(connect_customers(project, control)))
    else:
        print([text for texts in differences(project, control).values() for text in texts])
