"""Ground truth by teams: one folder that holds every decision, who took it, when and with what.

``truth``        what an annotation says of the sources of a picture
``formats``      export and import in the formats of others; split, data card
``events``       the chain of changes, of which all else is a projection
"""
