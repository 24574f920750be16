"""The revisions, oldest first; `migrate.REVISIONS` lists them."""
