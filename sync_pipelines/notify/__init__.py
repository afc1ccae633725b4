"""Tells others what happened: webhooks, Slack, Zapier. The outbox is the store's; here is its deliverer."""
