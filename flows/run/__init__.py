"""What every run needs; no domain is named here."""
