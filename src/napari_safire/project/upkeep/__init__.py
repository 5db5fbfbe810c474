"""A project proved and kept: nothing here changes what annotators made.

``verify``       chain, state, objects and pictures, held against what the events say
``replay``       the recorded models asked the recorded questions again
``merge``        two copies that were worked on apart become one
``backup``       a copy while others work; what a damaged project still has
``wording``, ``statistics``    events and numbers for people
"""
