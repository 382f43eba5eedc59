"""What any run needs, and no domain is named in."""
