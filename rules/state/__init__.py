"""What rules over several records ask: who else holds a number, whether a subject is registered, what is usual.

The *state* holds, for each :class:`Index`, which current records of a dataset hold which key. ``definitions`` says what
is kept and asked, ``texts`` turns batches and single records into what the state is told, ``memory`` is the state as a
few Python dictionaries: the reference, by which examples of rules are judged. ``streams/state`` keeps it in Redis.
"""

from __future__ import annotations

from rules.state.definitions import Distribution, Index, Mode, Question, Replies, StatePlan, StateSource, Texts

__all__ = ["Distribution", "Index", "Mode", "Question", "Replies", "StatePlan", "StateSource", "Texts"]
