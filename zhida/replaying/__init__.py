"""Stored history judged once more by other rules, and compared with what was said of it.

``history`` reads the topics in bulk, ``live`` finds what was said, ``judging`` judges as govern does, ``compare`` and
``report`` are pure, ``run`` puts them together, ``applying`` has the differences judged again for good.
"""
