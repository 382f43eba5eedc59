"""The stack on one machine: its processes, state, checks and deployments."""
