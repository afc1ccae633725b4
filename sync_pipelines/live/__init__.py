"""The long-lived process `sync-pipelines live`: named loops, of which one applies what vendors tell by themselves."""
