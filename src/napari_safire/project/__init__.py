"""Ground truth by teams: one folder that holds every decision, who took it, when and with what.

``truth``        what an annotation says of the sources of a picture
``events``       the chain of changes, of which all else is a projection
"""
