"""What people see of a searched network: the section of the report and of the page of a run."""
