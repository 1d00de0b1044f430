"""Faust apps, agents and the micro-batch transport: where records flow."""
