"""The intrinsics: one table, from which calls, documents and tests are made."""
