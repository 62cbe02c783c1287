"""The database's history: one file per change of the tables, applied in order by `yun.schema`."""
