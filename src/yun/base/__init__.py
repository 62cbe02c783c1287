"""The cellar's ground: errors, ids, units, time, context, database, settings, messages. It knows no room."""
