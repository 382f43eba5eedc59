"""Days of a flow run after the fact: requests, records, progress, and the state of each day."""
