"""Ground truth by teams: one folder that holds every decision, who took it, when and with what.

=================  =================================================================
``truth``          what an annotation says of the sources of a picture
``chain``          the events, one after the other, of which all else is a projection
``store``          the project on disk: `Project`
``objects``        labels and annotations, named by their content
``pictures``       opened, found again, flagged where they changed; ``adding``,
                   ``collecting``
``work``           what annotators make of pictures: saved, done, rejected, accepted
``queries``        the list of pictures, filtered and sorted
``assigning``      pictures given to people, hidden controls among them
``comparing``      annotators compared, pictures scored by a model
``exchange``       ground truth to the formats of others, and from them
``team``           agreement, adjudication, assignment: functions of labels
``upkeep``         proved, replayed, merged, backed up
``formats``        export and import in the formats of others; parts, data card
=================  =================================================================
"""
