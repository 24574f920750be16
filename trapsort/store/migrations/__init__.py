"""How the record came to be, one revision a file; Alembic reads this folder."""
