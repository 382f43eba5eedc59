"""What runs: one flow a file, a recipe without logic; the commands; the report."""
