"""The commands by topic. They import what they need when they run, so that a query does not wait for Prefect."""
