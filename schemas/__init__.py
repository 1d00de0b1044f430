"""The catalog: datasets, units, regions, the wire format and the schema registry."""
