"""The sample province: made-up companies, units and records with known right answers, for the demo and for tests.

``generate`` makes messages, ``Oracle`` collects their right answers, ``SampleReporter`` sends them, ``verify`` compares
what became of them with the oracle.
"""
