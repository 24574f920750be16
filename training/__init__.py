"""How a bundle is made: not installed in the field, imports trapsort, never the reverse."""
