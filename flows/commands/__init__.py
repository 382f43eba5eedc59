"""The commands by topic. What a command needs is imported when it runs, so that a query does not wait for Prefect."""
