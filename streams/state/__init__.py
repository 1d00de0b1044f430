"""The state of rules over several records, in Redis. ``rules/state`` says what it means; docs/decisions tell why so."""
