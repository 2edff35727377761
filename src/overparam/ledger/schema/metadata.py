"""The one collection of tables. Times are UTC text, sortable: `2026-11-21T14:03:00.000000Z`; days are `2026-11-21`."""

from sqlalchemy import MetaData

HEAD = "m006"  # newest migration; a test compares it with the folder

metadata = MetaData()
